//! `/api/v1/jobs/{id}` with `/play`, `/cancel`, `/retry`, `/artifacts`; `/tasks/{id}` with `/log`, `/log/events` (SSE).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JobEnvironment, Status, Time};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    pub id: i64,
    pub pipeline_id: i64,
    pub workflow_id: i64,
    pub name: String,
    pub stage: String,
    pub kind: JobKind,
    pub status: Status,
    pub allow_failure: bool,
    /// Absent = all jobs of earlier stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<JobNeed>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The environment that it deploys to, stops or uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<JobEnvironment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it does not run yet, and what would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_pending: Option<WhyPending>,
    /// Percent, from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// All attempts and parallel parts, oldest first.
    #[serde(default)]
    pub tasks: Vec<Task>,
    pub web_url: String,
}

/// What a job does when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Build,
    /// Starts another pipeline.
    Bridge,
    /// Waits for a person, runs nothing.
    Approval,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobNeed {
    pub job_id: i64,
    pub job: String,
    pub artifacts: bool,
}

/// The cause of waiting, from the scheduler's own matching.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhyPending {
    pub cause: PendingCause,
    /// One sentence for people.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PendingCause {
    /// Earlier jobs have not ended.
    Needs,
    Manual,
    Approval,
    Delay,
    ResourceGroup,
    /// No runner is registered at all, or none is online.
    NoRunner,
    /// Runners exist, none fits (tags, protection, class).
    NoMatchingRunner,
    /// Fitting runners are all busy.
    RunnersBusy,
    /// Others' turn comes first.
    FairShare,
    MaxParallel,
    /// About to be handed out.
    Ready,
}

/// One attempt at one parallel part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    pub id: i64,
    pub job_id: i64,
    /// From 1.
    pub attempt: u32,
    /// From 0.
    pub parallel_index: u32,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    pub queued_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    pub log_size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunnerRef {
    pub id: i64,
    pub name: String,
    pub system_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    pub id: i64,
    /// `archive`, `junit`, `dotenv`, …
    pub kind: String,
    pub format: String,
    pub filename: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    pub download_url: String,
}

/// Body of `POST /jobs/{id}/play`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Play {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableInput>,
}

/// Body of `PATCH /jobs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobPatch {
    /// `true`: artifacts never expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_artifacts: Option<bool>,
}

/// A variable given with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariableInput {
    pub key: String,
    pub value: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}
