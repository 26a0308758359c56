//! How commands fail.

use std::path::PathBuf;

use tasuki_proto::client::CallError;

/// Result of a command.
pub type Result<T> = std::result::Result<T, Error>;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{message}")]
    Usage { message: String },
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    #[error("{what}")]
    Call {
        what: String,
        #[source]
        source: CallError,
    },
    /// `verify`, `unregister`: some runners are not as they should be.
    #[error("{0}")]
    Runners(String),
    /// `lint`.
    #[error("{} has {count} problem{}", path.display(), if *count == 1 { "" } else { "s" })]
    Problems { path: PathBuf, count: usize },
    #[error(transparent)]
    Pool(#[from] crate::poll::Error),
    #[error("cannot {what}")]
    System {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} failed: {output}")]
    Service { what: String, output: String },
    #[error("jobs did not end in time")]
    Unfinished,
    #[error("cannot write the answer")]
    Output(#[source] std::io::Error),
    #[error("cannot read the answer")]
    Input(#[source] std::io::Error),
}

impl Error {
    /// Wrong use.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
        }
    }

    /// A call of the server.
    pub(super) fn call(what: impl Into<String>, source: CallError) -> Self {
        Self::Call {
            what: what.into(),
            source,
        }
    }

    /// Something on this machine.
    pub(super) fn system(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::System {
            what: what.into(),
            source,
        }
    }

    /// A file.
    pub(super) fn file(verb: &str, path: &std::path::Path, source: std::io::Error) -> Self {
        let path: PathBuf = path.to_owned();
        Self::system(format!("{verb} {}", path.display()), source)
    }

    /// What the process exits with: 1 where runners or their configuration are not as they should be, 2 for wrong use or configuration,
    /// 3 for the system and the network.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runners(_) | Self::Problems { .. } => 1,
            Self::Usage { .. } | Self::Config(_) => 2,
            Self::Call { source, .. } if matches!(source.class(), 400..=499) => 1,
            Self::Call { .. }
            | Self::Pool(_)
            | Self::System { .. }
            | Self::Service { .. }
            | Self::Unfinished
            | Self::Output(_)
            | Self::Input(_) => 3,
        }
    }
}
