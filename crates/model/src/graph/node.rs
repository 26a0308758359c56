//! What is fixed about a job in the graph.

use serde::{Deserialize, Serialize};

use crate::plan::{AllowFailure, Gate, When};
use crate::state::{Outcome, job};

/// A job's place in its [`Graph`](super::Graph): the order in which the plan lists it, over all workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// As an index of a slice.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// The part of a job that the graph decides by. Small, and stored beside the job, so that a graph is loaded
/// without reading the plan again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Index of the workflow.
    #[serde(rename = "w")]
    pub workflow: u32,
    /// Index of the stage in the workflow.
    #[serde(rename = "s")]
    pub stage: u32,
    /// `None`: all jobs of earlier stages.
    #[serde(rename = "n")]
    pub needs: Option<Vec<Edge>>,
    #[serde(default)]
    pub when: When,
    #[serde(default)]
    pub allow_failure: AllowFailure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Has a late condition, which alone decides (with the gate) once all predecessors have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conditional: bool,
    /// Needs its resource group before it may be queued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resource: bool,
    #[serde(default)]
    pub work: Work,
    /// The matrix that it is a member of, where that has rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Strategy>,
}

/// A need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    #[serde(rename = "j")]
    pub need: NodeIndex,
    /// Results that let the job go on; empty = GitLab's rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<Wanted>,
}

/// A result that a need may be required to have (CircleCI `requires`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    Success,
    Failed,
    Canceled,
    Unauthorized,
    NotRun,
    /// Any end.
    Terminal,
}

impl Wanted {
    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "unauthorized" => Self::Unauthorized,
            "not_run" => Self::NotRun,
            "terminal" => Self::Terminal,
            _ => return None,
        })
    }

    pub(super) fn accepts(self, outcome: &Outcome) -> bool {
        match self {
            Self::Success => *outcome == Outcome::Success,
            Self::Failed => matches!(outcome, Outcome::Failed(_)),
            Self::Canceled => *outcome == Outcome::Canceled,
            Self::NotRun => *outcome == Outcome::Skipped,
            Self::Terminal => true,
            // Nothing here ends unauthorized: such a job is never created.
            Self::Unauthorized => false,
        }
    }
}

/// What a job does when it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Runs tasks.
    #[default]
    Tasks,
    /// Succeeds at once (approvals, no-op jobs).
    Nothing,
    /// Starts another pipeline.
    Downstream,
}

/// Rules that the members of one matrix share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// Which matrix: the index of its first member.
    pub first: NodeIndex,
    pub fail_fast: bool,
    pub max_parallel: Option<u32>,
}

/// How the predecessors of a job ended, near and far: what `success()` and `failure()` ask (GitHub: all
/// ancestors, not only direct needs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ancestry {
    pub failed: bool,
    pub canceled: bool,
    pub skipped: bool,
}

impl Ancestry {
    /// Every ancestor succeeded, or failed and was allowed to.
    #[must_use]
    pub fn succeeded(self) -> bool {
        self == Self::default()
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self {
            failed: self.failed || other.failed,
            canceled: self.canceled || other.canceled,
            skipped: self.skipped || other.skipped,
        }
    }

    pub(super) fn of(state: &job::State) -> Self {
        if state.is_allowed_failure() {
            return Self::default();
        }
        match state.outcome() {
            None | Some(Outcome::Success) => Self::default(),
            Some(Outcome::Failed(_)) => Self {
                failed: true,
                ..Self::default()
            },
            Some(Outcome::Canceled) => Self {
                canceled: true,
                ..Self::default()
            },
            Some(Outcome::Skipped) => Self {
                skipped: true,
                ..Self::default()
            },
        }
    }
}
