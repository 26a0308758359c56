//! `/api/v1/projects/{project}/pages`, `/pages/{id}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// A folder that a job left and that is shown to people: GitLab's `pages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pages {
    pub id: i64,
    pub project_id: i64,
    /// Part of the address; empty at the top.
    pub prefix: String,
    pub pipeline_id: i64,
    pub job_id: i64,
    /// Absent where retention has taken the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_url: Option<String>,
    /// In the job's archive.
    pub folder: String,
    /// Bytes of the archive.
    pub size: i64,
    pub created_at: Time,
    /// Absent: until others take their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    pub web_url: String,
}
