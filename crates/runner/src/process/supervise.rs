//! The supervisor: `tasuki guest supervise`. Small, synchronous, no runtime.
//!
//! Standard input is the socket to the runner; standard output and error are the program's. Two threads: this one
//! starts the program and reaps whatever ends; the other obeys the runner.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::fork::{Fork, fork_into};
use super::spec::{self, End, Event, Order, Spec, Stdin};
use super::{Binary, Cgroup, User, tree};

/// Runs until the runner's program and all its descendants are gone. The exit code has no meaning to the runner.
#[must_use]
pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads our output any more; the runner sees the socket break.
        Err(_) => ExitCode::from(3),
    }
}

fn supervise() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Our copy on descriptor 0 must not keep the socket open, nor be the program's input.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let Some(Order::Start { spec, cgroup }) = spec::receive(&control)? else {
        return Ok(());
    };
    let main = match start(*spec, cgroup.as_ref()) {
        Ok(pid) => pid,
        Err(error) => {
            spec::send(
                &control,
                &Event::NotStarted {
                    errno: error.raw_os_error().unwrap_or(0),
                },
            )?;
            return Ok(());
        }
    };
    // The output ends when the program's own copies close.
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    spec::send(
        &control,
        &Event::Started {
            pid: main.as_raw_nonzero().get(),
        },
    )?;
    let orders = control.try_clone()?;
    std::thread::Builder::new()
        .name("orders".to_owned())
        .spawn(move || obey(&orders))?;
    reap(&control, main);
    Ok(())
}

/// Starts the program with the rights of its user, in the cgroup.
fn start(spec: Spec, cgroup: Option<&Cgroup>) -> io::Result<Pid> {
    let (stdin, feed) = match &spec.stdin {
        Stdin::Null => (Stdio::null(), None),
        Stdin::Terminal => (Stdio::from(io::stdout().as_fd().try_clone_to_owned()?), None),
        Stdin::Text(_) => {
            let (reader, writer) = io::pipe()?;
            (Stdio::from(reader), Some(writer))
        }
    };
    // Closed by a successful start; otherwise the reason comes through it.
    let (mut reason, mut teller) = io::pipe()?;
    let pid = match fork_into(cgroup)? {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            let error = become_program(&spec, stdin);
            let _ = teller.write_all(&error.raw_os_error().unwrap_or(0).to_le_bytes());
            std::process::exit(127);
        }
    };
    drop((teller, stdin));
    let mut errno = [0; size_of::<i32>()];
    if reason.read_exact(&mut errno).is_ok() {
        return Err(io::Error::from_raw_os_error(i32::from_le_bytes(errno)));
    }
    if let (Some(mut writer), Stdin::Text(text)) = (feed, spec.stdin) {
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            // A program that does not read its input is its own matter.
            let _ = writer.write_all(text.as_bytes());
        })?;
    }
    Ok(pid)
}

/// Returns only when it cannot.
fn become_program(spec: &Spec, stdin: Stdio) -> io::Error {
    let prepared = spec.user.as_ref().map_or(Ok(()), become_user);
    match prepared.and_then(|()| command(&spec.argv, &spec.stdin)) {
        Ok(mut command) => command
            .env_clear()
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.cwd)
            .stdin(stdin)
            .exec(),
        Err(error) => error,
    }
}

/// The program in a process group of its own, or by way of [`super::terminal::lead`] in a session of its own.
fn command(argv: &[String], stdin: &Stdin) -> io::Result<Command> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let leads = matches!(stdin, Stdin::Terminal);
    let own = Binary::inside();
    let (first, before) = if leads {
        own.command()
    } else {
        (Path::new(program), Vec::new())
    };
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let mut command = Command::new(first);
    command.args(before);
    if leads {
        command.args(["guest", "terminal", program]);
    } else {
        command.process_group(0);
    }
    command.args(arguments);
    Ok(command)
}

pub(crate) fn become_user(user: &User) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Reaps until there is nobody left. A runner that is gone is not an error: the other thread ends the rest.
fn reap(control: &UnixStream, main: Pid) {
    let mut ended = None;
    loop {
        // Once the program itself has ended, those that are dead already are reaped before it is reported.
        let options = if ended.is_some() {
            WaitOptions::NOHANG
        } else {
            WaitOptions::empty()
        };
        match rustix::process::wait(options) {
            Ok(Some((pid, status))) if pid == main => ended = end(status),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => {
                if let Some(end) = ended.take() {
                    let _ = spec::send(control, &Event::Ended { end, alone: false });
                }
            }
            Err(_) => break,
        }
    }
    let last = ended.map_or(Event::Empty, |end| Event::Ended { end, alone: true });
    let _ = spec::send(control, &last);
}

fn end(status: WaitStatus) -> Option<End> {
    status
        .exit_status()
        .map(End::Code)
        .or_else(|| status.terminating_signal().map(End::Signal))
}

fn obey(orders: &UnixStream) {
    loop {
        match spec::receive::<Order>(orders) {
            Ok(Some(Order::Terminate)) => {
                tree::signal_descendants(rustix::process::getpid(), Signal::TERM);
            }
            Ok(Some(Order::Start { .. })) => {}
            Ok(Some(Order::Kill) | None) | Err(_) => kill_all(),
        }
    }
}

/// Kills until the reaping thread finds nobody left and ends the process.
fn kill_all() -> ! {
    let own = rustix::process::getpid();
    // Whoever multiplies is held still first, so that killing can win.
    tree::signal_descendants(own, Signal::STOP);
    let mut pause = Duration::from_millis(1);
    loop {
        tree::signal_descendants(own, Signal::KILL);
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
