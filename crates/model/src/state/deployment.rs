//! A deployment: one run of a job that deploys to an environment. It has no life of its own: it follows its job.

use super::{Outcome, job};

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its job waits for a runner.
    Created,
    Running,
    Success,
    Failed,
    Canceled,
}

impl Status {
    /// The deployment's status while its job is in `state`; `None` where the job's turn has not come.
    #[must_use]
    pub fn of(state: &job::State) -> Option<Self> {
        match state {
            job::State::Created
            | job::State::Manual { .. }
            | job::State::Scheduled { .. }
            | job::State::WaitingForResource { .. } => None,
            job::State::Pending { .. } => Some(Self::Created),
            job::State::Running { .. } | job::State::Canceling { .. } => Some(Self::Running),
            job::State::Finished { outcome, .. } => Some(match outcome {
                Outcome::Success => Self::Success,
                Outcome::Failed(_) => Self::Failed,
                Outcome::Canceled | Outcome::Skipped => Self::Canceled,
            }),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}
