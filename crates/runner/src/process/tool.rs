//! Programs that the guest needs for its own work (git). The guest stands inside a sandbox, under a supervisor; or it
//! works in-process, and then what it starts carries the sandbox's marker and is ended here.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Error, Exit, Result, Stop};

/// How often a stop is looked for while the program is silent.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// How long a tool may take to end after SIGTERM.
const GRACE_CHECKS: u32 = 100;

/// A program of the guest.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    pub program: &'a str,
    pub args: Vec<String>,
    /// The whole environment.
    pub env: &'a [(String, String)],
    pub cwd: &'a Path,
}

impl Tool<'_> {
    /// Runs it to its end. Standard input is empty; `on_stdout` and `on_stderr` get the output as it comes.
    ///
    /// # Errors
    /// It cannot be started. Ending badly, also by `stop`, is an [`Exit`].
    pub fn run(&self, stop: &Stop, mut on_stdout: impl FnMut(&[u8]), mut on_stderr: impl FnMut(&[u8])) -> Result<Exit> {
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let mut command = Command::new(self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .current_dir(self.cwd)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| Error::Start {
            program: self.program.to_owned(),
            source,
        })?;
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        let mut asked = 0_u32;
        let mut buffer = vec![0; 32 << 10];
        while stdout.is_some() || stderr.is_some() {
            let (out, err) = ready(stdout.as_ref(), stderr.as_ref());
            if out {
                forward(&mut stdout, &mut buffer, &mut on_stdout);
            }
            if err {
                forward(&mut stderr, &mut buffer, &mut on_stderr);
            }
            // What a tool leaves in the background does not hold the job up.
            if !out && !err && matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            asked = end_if_stopped(&child, stop, asked);
        }
        loop {
            match child.try_wait().map_err(Error::system("wait for a program"))? {
                Some(_) if stop.is_pulled() && asked > 0 => return Ok(Exit::Stopped),
                Some(status) => {
                    return Ok(match (status.code(), status.signal()) {
                        (Some(code), _) => Exit::Code(code),
                        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
                    });
                }
                None if stdout.is_none() && stderr.is_none() && !stop.is_pulled() => {
                    // Its output is closed: mostly it is ending this very moment.
                    std::thread::sleep(Duration::from_micros(200));
                }
                None => std::thread::sleep(STOP_CHECK),
            }
            asked = end_if_stopped(&child, stop, asked);
        }
    }

    /// Runs it and returns how it ended, with its output and error output.
    ///
    /// # Errors
    /// As [`Tool::run`].
    pub fn capture(&self, stop: &Stop) -> Result<(Exit, Vec<u8>, Vec<u8>)> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = self.run(
            stop,
            |bytes| out.extend_from_slice(bytes),
            |bytes| err.extend_from_slice(bytes),
        )?;
        Ok((exit, out, err))
    }
}

fn ready(stdout: Option<&impl std::os::fd::AsFd>, stderr: Option<&impl std::os::fd::AsFd>) -> (bool, bool) {
    let mut waited = Vec::with_capacity(2);
    let first = stdout.is_some();
    waited.extend(stdout.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    waited.extend(stderr.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(STOP_CHECK.subsec_nanos()),
    };
    if poll(&mut waited, Some(&pause)).is_err() {
        return (false, false);
    }
    let mut ready = waited.iter().map(|one| !one.revents().is_empty());
    let out = first && ready.next().unwrap_or(false);
    (out, ready.next().unwrap_or(false))
}

fn forward<P: io::Read>(pipe: &mut Option<P>, buffer: &mut [u8], to: &mut impl FnMut(&[u8])) {
    let Some(open) = pipe else { return };
    match open.by_ref().read(buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => to(&buffer[..length]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(_) => *pipe = None,
    }
}

/// Asks the program's group to end, then kills it. Returns how often it was called since the stop.
fn end_if_stopped(child: &Child, stop: &Stop, asked: u32) -> u32 {
    if !stop.is_pulled() {
        return 0;
    }
    let signal = match asked {
        _ if stop.is_forced() => Signal::KILL,
        0 => Signal::TERM,
        GRACE_CHECKS.. => Signal::KILL,
        _ => return asked + 1,
    };
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
    asked + 1
}
