//! Why a program could not be started, or its end is unknown.

use std::io;

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a program could not be started, or its end is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused to start the program: it is not there, not executable, its arguments are too large.
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    /// Our own binary could not be started as the supervisor.
    #[error("cannot start the supervisor {binary}")]
    Supervisor { binary: String, source: io::Error },
    /// The supervisor died, by a signal from the job or for want of memory: how the program ended is unknown.
    #[error("the process supervisor was killed from outside")]
    SupervisorLost,
    /// A process cannot be killed: it hangs in the kernel.
    #[error("processes of the task are still there {seconds} s after they were killed")]
    Unkillable { seconds: u64 },
    /// The user of the configuration does not exist.
    #[error("there is no user {name} on this machine")]
    NoUser { name: String },
    /// A system call failed.
    #[error("cannot {what}")]
    System { what: &'static str, source: io::Error },
}

impl Error {
    /// Names what failed.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
