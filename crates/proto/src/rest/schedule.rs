//! `/api/v1/projects/{project}/schedules`, `/api/v1/schedules/{id}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, VariableInput};

/// A pipeline that starts by the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    pub id: i64,
    pub project_id: i64,
    pub description: String,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    /// Branch or tag.
    #[serde(rename = "ref")]
    pub git_ref: String,
    pub active: bool,
    /// Absent where it never runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pipeline_id: Option<i64>,
    /// How its newest turn went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<String>,
    /// Login of whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub created_at: Time,
}

/// Body of `POST /projects/{project}/schedules`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NewSchedule {
    #[serde(default)]
    pub description: String,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA name; absent = UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Branch or tag; absent = the default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Pipeline variables. They are encrypted and not shown again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableInput>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub inputs: serde_json::Map<String, serde_json::Value>,
    /// Absent = active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// Body of `PATCH /schedules/{id}`: what is absent stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SchedulePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<VariableInput>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}
