//! `/api/v1/runners`, `/resource_classes`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Whose jobs a runner takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunnerScope {
    #[default]
    Instance,
    Namespace,
    Project,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runner {
    pub id: i64,
    pub name: String,
    pub scope: RunnerScope,
    /// Project or namespace path where `scope` names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub maintenance_note: String,
    pub tags: Vec<String>,
    pub run_untagged: bool,
    pub locked: bool,
    /// Only refs that are protected.
    pub protected_only: bool,
    pub paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_timeout_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// Whether a manager was in contact within the last minutes.
    pub online: bool,
    pub running: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacted_at: Option<Time>,
    pub created_at: Time,
    /// When its token ends, unless the runner takes a new one before; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
    pub managers: Vec<Manager>,
}

/// One process of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manager {
    pub system_id: String,
    pub version: String,
    pub platform: String,
    pub architecture: String,
    pub executor: String,
    /// Whether it announces our extension.
    pub tasuki: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    pub contacted_at: Time,
}

/// Body of `POST /runners`. Answer: 201 [`CreatedRunner`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct NewRunner {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub scope: RunnerScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Absent = true where there are no tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_untagged: Option<bool>,
    #[serde(default)]
    pub locked: bool,
    #[serde(default)]
    pub protected_only: bool,
    #[serde(default)]
    pub paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_timeout_s: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub maintenance_note: String,
}

/// The only time that the token is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedRunner {
    #[serde(flatten)]
    pub runner: Runner,
    /// `glrt-…`.
    pub token: String,
}

/// Body of `PATCH /runners/{id}`: absent fields stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RunnerPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_untagged: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_timeout_s: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceClass {
    pub id: i64,
    /// `namespace/name`.
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub created_at: Time,
}

/// Body of `POST /resource_classes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewResourceClass {
    pub name: String,
    #[serde(default)]
    pub description: String,
}

/// A class with its first token, shown only now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedResourceClass {
    #[serde(flatten)]
    pub resource_class: ResourceClass,
    pub token: super::CreatedToken,
}
