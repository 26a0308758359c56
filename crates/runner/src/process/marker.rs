//! The last net: processes found by a marker in their environment.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Error, Result, tree};

/// Environment variable that every process of a sandbox carries: the sandbox's id.
///
/// The kernel shows the environment that a program was *started* with, so `unset` in a shell does not hide the
/// shell; a program started with an emptied environment is left to the other nets.
pub const MARKER: &str = "TASUKI_SANDBOX";

const PATIENCE: Duration = Duration::from_secs(10);

/// Kills every process that was started with the marker `sandbox`, but `spare` itself, until none is found. Returns
/// how many. Processes of other users are invisible to an unprivileged runner, and cannot be its own.
///
/// # Errors
/// One of them is still there after ten seconds.
pub fn sweep_marked(sandbox: &str) -> Result<usize> {
    let wanted = format!("{MARKER}={sandbox}").into_bytes();
    let started = Instant::now();
    let mut killed = 0;
    loop {
        let found: Vec<i32> = tree::all_processes().filter(|pid| carries(*pid, &wanted)).collect();
        if found.is_empty() {
            return Ok(killed);
        }
        for pid in found {
            killed += usize::from(kill_if_marked(pid, &wanted));
        }
        if started.elapsed() > PATIENCE {
            return Err(Error::Unkillable {
                seconds: PATIENCE.as_secs(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn carries(pid: i32, wanted: &[u8]) -> bool {
    // Unreadable: another user's. Empty: a kernel thread, or dead and not yet reaped.
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| env.split(|byte| *byte == 0).any(|entry| entry == wanted))
}

/// Holds the process by a descriptor while it looks again, so that a number given anew meanwhile is never hit.
fn kill_if_marked(pid: i32, wanted: &[u8]) -> bool {
    let Some(id) = Pid::from_raw(pid) else { return false };
    match pidfd_open(id, PidfdFlags::empty()) {
        Ok(held) => carries(pid, wanted) && pidfd_send_signal(&held, Signal::KILL).is_ok(),
        // A kernel before 5.3.
        Err(error) if io::Error::from(error).kind() == io::ErrorKind::Unsupported => {
            rustix::process::kill_process(id, Signal::KILL).is_ok()
        }
        Err(_) => false,
    }
}
