//! `/api/v1/projects/{project}/releases`, `/releases/{id}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// What a job gave out at a tag: GitLab's `release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    pub id: i64,
    pub project_id: i64,
    pub tag: String,
    pub name: String,
    pub description: String,
    /// The commit of the tag when the release was made.
    pub sha: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<ReleaseLink>,
    /// The job that made it.
    pub job_id: i64,
    /// Absent where retention has taken the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_url: Option<String>,
    pub released_at: Time,
    pub created_at: Time,
    pub web_url: String,
}

/// A file that belongs to a release, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseLink {
    pub name: String,
    /// As the job gave it. It may be no http(s) address: look before you link.
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filepath: Option<String>,
    /// `other`, `runbook`, `image` or `package`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_type: Option<String>,
}
