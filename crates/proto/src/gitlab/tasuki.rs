//! The one optional object that we add to the payload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tasuki_model::expr::Expr;
use tasuki_model::plan;

/// What GitLab's payload cannot say. Only sent to runners whose features hold `tasuki`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TasukiExtension {
    /// The runner makes contact at least this often; the lease is a small multiple of it.
    #[serde(default)]
    pub heartbeat_interval_ms: u64,
    /// Without an accepted contact for this long the server gives the task up, so the runner must kill it.
    #[serde(default)]
    pub lease_ms: u64,
    /// The source is a folder on the runner's machine instead of a repository (`tasuki exec`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSnapshot>,
    /// Base address of the server's cache store: `GET`/`PUT <base>/<key>` with `JOB-TOKEN`. Absent = runner's own cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_url: Option<String>,
    /// Steps that replace the payload's `steps` (jobs of languages other than GitLab's).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<plan::Step>,
    /// What earlier jobs of the workflow persisted, in the order in which it is put on top of one another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceLayer>,
    /// What late expressions of the steps see besides what the runner knows itself, by context. With it steps speak to
    /// those after them through files (outputs, environment, path) and commands in their output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<serde_json::Value>,
    /// What the job gives to those that need it, evaluated after its last step and told with its final state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Expr>,
    /// What else the job's containers want. Absent where GitLab's words say all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Containers>,
    /// The job's own limit in seconds where `runner_info.timeout` is already cut by the runner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_timeout_s: Option<u64>,
}

/// Wishes of a job's containers beyond GitLab's words.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Containers {
    #[serde(default)]
    pub meeting: plan::Meeting,
    /// Of the payload's `image`.
    #[serde(default)]
    pub job: Wishes,
    /// Of the payload's `services`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Wishes>,
}

/// Wishes of one container. The runner's configuration decides what of it is done; what is not ends the job.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wishes {
    /// As [`plan::Options`] reads them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// As [`plan::Volume`] reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Ports that the engine's machine passes on; those of the payload's image are others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<plan::Port>,
    /// A label that, where the image has it with the value `true`, keeps the image's entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint_label: Option<String>,
}

/// A folder that is copied instead of a checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSnapshot {
    /// Absolute path of the snapshot on the runner's machine. Only followed where the runner was started by the
    /// same process (`exec`, `up`); a runner of another machine refuses it.
    pub path: String,
}

/// What one `persist_workspace` step of an earlier task left: an artifact of the kind `workspace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceLayer {
    pub task: i64,
    /// Name of its job, for messages.
    pub job: String,
    pub filename: String,
}
