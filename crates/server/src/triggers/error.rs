//! Why no pipeline could be started.

use tasuki_pipeline::{Diagnostic, Request, Skip};

/// Why no pipeline could be started. What the configuration decides itself is not an error: see [`super::Started`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
    #[error("the repository could not be read")]
    Git(#[from] crate::git::Error),
    #[error("the pipeline could not be saved")]
    Scheduler(#[from] crate::scheduler::Error),
    #[error("there is no branch, tag or commit {0:?}")]
    NoRef(String),
    #[error("the folder {0} is gone or no repository any more")]
    NoFolder(String),
    #[error("the compiler never stops asking, last for {0:?}")]
    Endless(Box<Request>),
    /// A job that was named; those that there are.
    #[error("the pipeline has no job {name:?}")]
    NoJob { name: String, known: Vec<String> },
    #[error("there is no workflow {name:?}")]
    NoWorkflow { name: String, known: Vec<String> },
    #[error("the project has no commits yet")]
    Empty,
    #[error("the stored webhook cannot be read")]
    Delivery(#[from] super::forge::Error),
    #[error("the project's key or secret cannot be decrypted")]
    Sealed,
}

impl Error {
    /// Whether trying again later may help: the network, the forge or the database was at fault.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Git(error) => error.is_transient(),
            // The forge tells of a push a moment before it can be fetched.
            Self::Store(_) | Self::Scheduler(_) | Self::NoRef(_) => true,
            Self::NoJob { .. }
            | Self::NoWorkflow { .. }
            | Self::NoFolder(_)
            | Self::Endless(_)
            | Self::Empty
            | Self::Delivery(_)
            | Self::Sealed => false,
        }
    }
}

/// Why a request of a person made no pipeline.
#[derive(Debug)]
pub enum NoPipeline {
    /// There is no configuration file; its path.
    Missing(String),
    Skipped(Skip),
    Invalid(Vec<Diagnostic>),
    /// A push option asked for none.
    Unwanted,
}

/// Why a webhook is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum HookRefused {
    /// The body is not what the forge sends.
    #[error(transparent)]
    Body(#[from] super::forge::Error),
    /// No project of that address has that secret. Whether there is such a project is not told.
    #[error("no project takes this webhook: its address or its secret does not fit")]
    Unknown,
    #[error("the webhook could not be stored")]
    Store(#[from] tasuki_store::Error),
}
