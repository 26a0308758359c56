//! `/api/v1/projects`, `/projects/{id}`, `/projects/{id}/variables`. `{id}` is the number or the path with `%2F`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Where a project's source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectKind {
    /// A folder on the server's machine; new commits start pipelines by themselves.
    Local,
    /// A repository by URL; webhooks start pipelines.
    Git,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    pub id: i64,
    /// `namespace/name`.
    pub path: String,
    pub name: String,
    pub kind: ProjectKind,
    /// Folder or clone address, without credentials.
    pub location: String,
    pub default_branch: String,
    /// File that is compiled, below the root of the repository.
    pub config_path: String,
    /// Jobs may deploy an older commit after a newer one was deployed to the same environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_outdated_deployments: bool,
    /// Where the forge sends its webhooks (`/hooks/<forge>`); only for `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_url: Option<String>,
    /// The secret of its webhooks, where the server made one: only in the answer to the project's creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_secret: Option<String>,
    pub web_url: String,
    pub created_at: Time,
}

/// Body of `POST /projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewProject {
    /// Folder on the server's machine, or clone address (https, ssh).
    pub location: String,
    /// `namespace/name`; absent = made from the location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// Secret that signs the forge's webhooks; absent = made and shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_secret: Option<String>,
    /// Private key for ssh addresses (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_key: Option<String>,
    /// Merge requests from forks are built, without any secret; absent = no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_forks: Option<bool>,
}

/// Body of `PATCH /projects/{id}`: absent fields stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProjectPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_outdated_deployments: Option<bool>,
    /// Merge requests from forks are built, without any secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_forks: Option<bool>,
}

/// A variable of a project. The value of a masked one is never given out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectVariable {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `*` or a glob on the environment's name.
    #[serde(default = "everywhere")]
    pub environment_scope: String,
    #[serde(default)]
    pub file: bool,
    #[serde(default)]
    pub masked: bool,
    #[serde(default)]
    pub protected: bool,
    #[serde(default)]
    pub raw: bool,
}

fn everywhere() -> String {
    "*".to_owned()
}
