//! What can go wrong.

use tasuki_model::graph::BuildError;
use tasuki_model::state::{BadTransition, Status};

/// Why a call of the scheduler had no effect. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database failed")]
    Store(#[source] tasuki_store::Error),
    /// Somebody else changed the pipeline at the same time. Callers of [`super::Scheduler`] do not see it
    /// unless it happened again and again.
    #[error("the pipeline was changed by somebody else at the same time; try again")]
    Stale,
    #[error("there is no {what} {id}")]
    NotFound { what: &'static str, id: i64 },
    /// The token opens nothing (any more): the task has ended, or is somebody else's by now.
    #[error("the task is not, or no longer, yours{}", shown(.0))]
    NotYours(Option<Status>),
    /// The thing is not in a state that allows it, e.g. playing a job that runs.
    #[error(transparent)]
    Refused(#[from] BadTransition),
    #[error("the plan's jobs do not make a graph")]
    Plan(#[from] BuildError),
    /// A stored text is not what was once written.
    #[error("the stored {what} of {id} cannot be read")]
    Damaged {
        what: &'static str,
        id: i64,
        #[source]
        source: serde_json::Error,
    },
    #[error("the plan cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

fn shown(status: &Option<Status>) -> String {
    status.map(|status| format!(" (it is {status})")).unwrap_or_default()
}

impl From<tasuki_store::Error> for Error {
    fn from(error: tasuki_store::Error) -> Self {
        Self::Store(error)
    }
}

impl Error {
    /// A refusal after something was saved already: what is remembered contradicts the database, so the whole
    /// operation is to be undone and tried again.
    pub(super) fn in_the_middle(self) -> Self {
        if self.is_refusal() {
            tracing::debug!(error = %self, "an operation was refused in its middle");
            return Self::Stale;
        }
        self
    }

    /// Whether it says no because of the state that things are in.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NotYours(_) | Self::NotFound { .. })
    }

    /// Whether the same call may succeed when it is made again at once.
    pub(super) fn is_race(&self) -> bool {
        match self {
            Self::Stale => true,
            Self::Store(error) => matches!(error, tasuki_store::Error::Contended),
            _ => false,
        }
    }
}
