//! What can go wrong with a sandbox, by whose fault it is.

use tasuki_model::reason::FailureReason;

/// An executor's result.
pub type Result<T> = std::result::Result<T, Error>;

/// The sandbox could not do what was asked. A program that runs and fails is not an error: see [`super::Exit`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job asks for what cannot be: an image that does not exist, a path outside the workspace, a variable
    /// with a NUL. Retrying does not help.
    #[error("{message}")]
    Job { reason: FailureReason, message: String },
    /// The runner's configuration is wrong or forbids what the job asks. Retrying does not help.
    #[error("{message}; {remedy}")]
    Configuration { message: String, remedy: String },
    /// Ours, the machine's or the network's fault. Another attempt may succeed.
    #[error("cannot {what}")]
    System {
        /// What was tried: "make the workspace /srv/builds/…".
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// [`super::Stop`] was pulled before there was anything to stop.
    #[error("stopped before it started")]
    Stopped,
}

impl Error {
    /// A fault of the job.
    pub fn job(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::Job {
            reason,
            message: message.into(),
        }
    }

    /// A fault of the runner's configuration.
    pub fn configuration(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Configuration {
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// A fault of ours.
    pub fn system(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }

    /// The reason that the server is told.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Job { reason, .. } => *reason,
            Self::Configuration { .. } => FailureReason::RunnerConfigurationError,
            Self::System { .. } => FailureReason::RunnerSystemFailure,
            Self::Stopped => FailureReason::JobCanceled,
        }
    }

    /// Whether the same call may succeed when repeated (GitLab prepares an executor three times, but not
    /// after an error of the job).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::System { .. })
    }
}
