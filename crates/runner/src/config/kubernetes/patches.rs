//! `[[runners.kubernetes.pod_spec]]`.

use serde::Deserialize;

/// A change of the pod's specification, last of all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PodSpecPatch {
    pub name: String,
    /// YAML or JSON; excludes `patch_path`.
    pub patch: String,
    /// A file of the runner's machine with the same.
    pub patch_path: String,
    pub patch_type: PatchType,
}

/// How a patch is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum PatchType {
    /// Kubernetes' strategic merge: lists by their merge keys.
    #[default]
    #[serde(rename = "strategic", alias = "")]
    Strategic,
    /// RFC 7386: lists as a whole.
    #[serde(rename = "merge")]
    Merge,
    /// RFC 6902: a list of operations.
    #[serde(rename = "json")]
    Json,
}
