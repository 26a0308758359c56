//! How tasks and jobs end.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::reason::{FailureReason, Fault};

/// A final result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    Success,
    Failed(Failure),
    Canceled,
    /// Never ran: its predecessors or its condition ruled it out.
    Skipped,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub reason: FailureReason,
    /// Of the script, where it got that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

impl Failure {
    /// A failure without an exit code.
    #[must_use]
    pub fn of(reason: FailureReason) -> Self {
        Self {
            reason,
            exit_code: None,
        }
    }

    /// Whose fault it was; never mixed (invariant 9).
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.reason.fault()
    }
}

impl Outcome {
    /// Failed for `reason`, no exit code.
    #[must_use]
    pub fn failed(reason: FailureReason) -> Self {
        Self::Failed(Failure::of(reason))
    }

    /// The word for it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Success => Status::Success,
            Self::Failed(_) => Status::Failed,
            Self::Canceled => Status::Canceled,
            Self::Skipped => Status::Skipped,
        }
    }

    /// Why it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Success | Self::Canceled | Self::Skipped => None,
        }
    }

    /// The worse of two results, for a job made of several tasks: a failure of the job's own, then a system
    /// failure, then a cancellation, then success.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self.severity() >= other.severity() {
            self
        } else {
            other
        }
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::Canceled => 2,
            Self::Failed(failure) => match failure.fault() {
                Fault::System => 3,
                Fault::User => 4,
            },
        }
    }
}
