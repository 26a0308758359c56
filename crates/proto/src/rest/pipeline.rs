//! `/api/v1/projects/{id}/pipelines`, `/pipelines/{id}` with `/cancel`, `/retry`, `/jobs`, `/events`; `/lint`, `/compile`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Job, Status, Time, VariableInput};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    pub id: i64,
    /// Number within its project, from 1.
    pub iid: i64,
    pub project_id: i64,
    /// `namespace/name`.
    pub project: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Short name of the branch or tag, or `refs/merge-requests/N/head`.
    #[serde(rename = "ref")]
    pub git_ref: String,
    pub tag: bool,
    pub sha: String,
    /// First line of the commit's message.
    pub title: String,
    /// `push`, `web`, `schedule`, `api`, `merge_request_event`, …
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub status: Status,
    pub counts: Counts,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    pub web_url: String,
    /// Pipelines of the project's other configurations that the same request started. Only the answer to that request
    /// tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<i64>,
}

/// How many jobs are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub total: u64,
    pub waiting: u64,
    pub pending: u64,
    pub running: u64,
    pub success: u64,
    pub failed: u64,
    pub canceled: u64,
    pub skipped: u64,
    pub manual: u64,
}

/// Answer of `GET /pipelines/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineDetail {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    pub workflows: Vec<Workflow>,
    /// Warnings of the compiler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
    /// The job that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamJob>,
    /// Pipelines that its jobs start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstream: Vec<Downstream>,
    /// The pipeline that follows it, where its configuration is a `setup` (CircleCI) and was continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<i64>,
    /// The pipeline with the `setup` configuration that it follows (CircleCI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<i64>,
}

/// The job that started a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamJob {
    pub project: String,
    pub pipeline_id: i64,
    pub job_id: i64,
    pub job: String,
}

/// What came of a job that starts a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Downstream {
    pub job_id: i64,
    pub job: String,
    /// Absent where none was made (yet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workflow {
    pub id: i64,
    pub name: String,
    pub status: Status,
    pub stages: Vec<String>,
    /// In the order of the configuration.
    pub jobs: Vec<Job>,
}

/// Body of `POST /projects/{id}/pipelines`. With the header `Idempotency-Key` a repetition gives the same pipeline.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NewPipeline {
    /// Branch or tag; absent = the default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Commit; absent = tip of the ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableInput>,
    /// Values for the inputs that the configuration declares (GitLab, GitHub), or for the pipeline's parameters (CircleCI).
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub inputs: serde_json::Map<String, Value>,
    /// Only this GitHub workflow, by its file, the file's name or its own name; absent = everything that is started by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Only configurations of this language (`gitlab`, `circleci`, `github`); absent = all that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// What a configuration of a project asks of whoever starts a pipeline by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Form {
    /// `gitlab`, `circleci`, `github`.
    pub language: String,
    /// The file, to be given as `workflow` where it is one.
    pub file: String,
    /// Name of the workflow (GitHub).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    pub inputs: Vec<FormField>,
    /// Variables that the configuration describes (GitLab).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<FormField>,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormField {
    pub name: String,
    /// `text`, `boolean`, `number`, `choice`, `list` (as JSON).
    pub kind: String,
    /// What may be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Nothing starts without a value.
    pub required: bool,
}

/// Body of `POST /lint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintRequest {
    /// `gitlab`, `circleci`, `github`; absent = by `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub content: String,
}

/// Body of `POST /projects/{id}/compile`: what would happen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompileRequest {
    #[serde(flatten)]
    pub pipeline: NewPipeline,
    /// What would start it: `push`, `schedule`, `merge_request_event` (also `pull_request`), `workflow_dispatch`, …; absent =
    /// `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Paths that would have changed; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
}

/// What would come of one configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compiled {
    /// Its path.
    pub config: String,
    /// The Plan with its diagnostics, as `tasuki compile` prints it.
    pub plan: Value,
}

/// A finding of the compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// `error`, `warning`, `info`.
    pub severity: String,
    pub code: String,
    pub message: String,
    pub file: String,
    /// From 1; 0 = the whole file.
    pub line: u32,
    pub column: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How the place was reached, e.g. by which includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trail: Vec<String>,
}
