//! What can go wrong at the door to git.

use std::path::PathBuf;

/// Why a git call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start git: install git 2.30 or newer and put it on PATH")]
    Missing(#[source] std::io::Error),
    #[error("git {what} failed: {message}")]
    Failed { what: &'static str, message: String },
    #[error("git {what} took longer than {seconds} s and was stopped")]
    Timeout { what: &'static str, seconds: u64 },
    #[error("git {what} gave more than {limit} bytes and was stopped")]
    TooLarge { what: &'static str, limit: usize },
    #[error("git {what} gave an answer that could not be read: {message}")]
    Answer { what: &'static str, message: String },
    #[error("cannot talk to git {what}")]
    Pipe {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{address} cannot be used as a repository address: {reason}")]
    Address { address: String, reason: &'static str },
    #[error("{0:?} is not an object id (40 or 64 hexadecimal digits)")]
    NotAnId(String),
    #[error("{} is not a git repository", .0.display())]
    NotARepository(PathBuf),
    #[error("the repository has no commit {0}")]
    NoCommit(String),
}

impl Error {
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Whether the same call may work later: the network or the other side was the cause.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Pipe { .. } => true,
            Self::Failed { what, .. } => *what == "fetch" || *what == "ls-remote",
            Self::Missing(_)
            | Self::TooLarge { .. }
            | Self::Answer { .. }
            | Self::File { .. }
            | Self::Address { .. }
            | Self::NotAnId(_)
            | Self::NotARepository(_)
            | Self::NoCommit(_) => false,
        }
    }
}
