//! What holds a job back although its needs are met.

use serde::{Deserialize, Serialize};

/// A gate that a person or the clock opens. A job has at most one; resource groups are apart from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Gate {
    /// Waits for somebody to play it.
    Manual(ManualGate),
    /// Starts this long after its needs are met.
    Delay { seconds: u64 },
    /// Waits for somebody to approve it; the job itself runs nothing.
    Approval(Approval),
}

/// GitLab `when: manual`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ManualGate {
    /// Question that the UI asks before it starts (`manual_confirmation`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<String>,
}

/// CircleCI `type: approval`, GitHub environment protection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approval {
    /// Seconds until it lapses; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// At most one job (or pipeline) of a group runs at a time in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    pub key: String,
    #[serde(default)]
    pub mode: ProcessMode,
    /// GitHub `concurrency.cancel-in-progress`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_in_progress: bool,
}

/// Who of those that wait gets a resource group next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessMode {
    #[default]
    Unordered,
    OldestFirst,
    NewestFirst,
    NewestReadyFirst,
    /// GitHub: one waits, a newer one replaces it (the older is cancelled).
    LatestOnly,
    /// CircleCI serial groups: a lower pipeline number than the active one is skipped.
    SerialNewerWins,
}
