//! `/api/v1/projects/{project}/environments`, `/environments/{id}` with `/stop`, `/keep`, `/deployments`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// A place that jobs deploy to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    pub id: i64,
    pub project_id: i64,
    pub name: String,
    /// The name, fit for host names.
    pub slug: String,
    /// `production`, `staging`, `testing`, `development` or `other`.
    pub tier: String,
    pub state: EnvironmentState,
    /// Where the last deployment is to be found, as its job gave it. It may be no http(s) address: look before you link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// When it is stopped by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_stop_at: Option<Time>,
    /// The newest deployment that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<Deployment>,
    /// The newest deployment, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_deployment: Option<Deployment>,
    pub created_at: Time,
    pub updated_at: Time,
    pub web_url: String,
}

/// Where an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentState {
    Available,
    /// A job that stops it was started.
    Stopping,
    Stopped,
}

impl EnvironmentState {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// One run of a job that deploys to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    pub id: i64,
    pub environment_id: i64,
    pub status: DeploymentStatus,
    /// Branch or tag, `refs/merge-requests/N/head` of a merge request.
    #[serde(rename = "ref")]
    pub git_ref: String,
    pub sha: String,
    pub pipeline_id: i64,
    pub job_id: i64,
    /// Name of the job.
    pub job: String,
    /// Page of the job; absent once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_url: Option<String>,
    /// Where it is to be found, as its job gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    /// Its job waits for a runner.
    Created,
    Running,
    Success,
    Failed,
    Canceled,
}

impl DeploymentStatus {
    /// The word on the wire.
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

/// Body of `POST /environments/{id}/stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StopEnvironment {
    /// `true`: at once, without the job that stops it.
    #[serde(default)]
    pub force: bool,
}

/// The environment that a job names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobEnvironment {
    pub name: String,
    /// `start`, `stop`, `prepare`, `verify` or `access`.
    pub action: String,
    /// Absent until a job with it has started, and in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// The newest deployment of this very job; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
}
