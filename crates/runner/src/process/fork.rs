//! How a program comes into its cgroup.
//!
//! Whoever moves a process into a cgroup waits until every processor has passed a point of rest: many milliseconds. A
//! process that is *born* in the cgroup (Linux 5.7, version 2) costs nothing, so that is tried first.

#![expect(
    unsafe_code,
    reason = "a process that is born in a cgroup has no safe interface; both calls are made while this process has one thread"
)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::process::Pid;

use super::Cgroup;

/// Of `linux/sched.h`: libc's constant of this name is too narrow.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Which of the two processes we are.
pub(super) enum Fork {
    Parent(Pid),
    Child,
}

/// Copies this process, which must have one thread only. The copy is in the cgroup; without one, and where the kernel
/// lets nobody enter it, it is where we are: the cgroup is one net of three.
///
/// # Errors
/// The kernel makes no further process.
pub(super) fn fork_into(cgroup: Option<&Cgroup>) -> io::Result<Fork> {
    if let Some(cgroup) = cgroup
        && let Ok(fork) = born_in(cgroup)
    {
        return Ok(fork);
    }
    // SAFETY: one thread, so that no lock is held by another one that the copy has not.
    let fork = meaning(unsafe { libc::fork() }.into())?;
    if let (Fork::Child, Some(cgroup)) = (&fork, cgroup) {
        let _ = fs::write(cgroup.procs(), "0");
    }
    Ok(fork)
}

fn born_in(cgroup: &Cgroup) -> io::Result<Fork> {
    let dir = File::open(cgroup.dir())?;
    // SAFETY: all fields are numbers, of which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    #[expect(clippy::cast_sign_loss, reason = "constants and descriptors are not negative")]
    {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.exit_signal = libc::SIGCHLD as u64;
        arguments.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: the arguments are of the size that is told and live through the call. Memory is not shared and no stack is
    // given, so this is a fork; for one of a process with one thread see above.
    meaning(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) })
}

fn meaning(returned: libc::c_long) -> io::Result<Fork> {
    match returned {
        0 => Ok(Fork::Child),
        id => i32::try_from(id)
            .ok()
            .filter(|id| *id > 0)
            .and_then(Pid::from_raw)
            .map(Fork::Parent)
            .ok_or_else(io::Error::last_os_error),
    }
}
