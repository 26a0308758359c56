//! Why a request was not done.

use tasuki_model::reason::FailureReason;

use super::Failure;

/// A result of the guest.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The job's own: repeating it does not help.
    #[error("{message}")]
    Job { reason: FailureReason, message: String },
    /// The network, the disk, a server.
    #[error("cannot {what}")]
    System {
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something outside refused or was out of reach; the message says what.
    #[error("{message}")]
    External { message: String },
    /// The context's stop was pulled.
    #[error("stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn job(message: impl Into<String>) -> Self {
        Self::Job {
            reason: FailureReason::ScriptFailure,
            message: message.into(),
        }
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (reason, transient) = match error {
            Error::Job { reason, .. } => (*reason, false),
            Error::System { .. } => (FailureReason::RunnerSystemFailure, true),
            Error::External { .. } => (FailureReason::RunnerExternalDependencyFailure, true),
            Error::Stopped => (FailureReason::JobCanceled, false),
        };
        let mut message = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self {
            reason,
            message,
            transient,
        }
    }
}
