//! Files that outlive a task: caches and artifacts.

use serde::{Deserialize, Serialize};

/// When something is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadWhen {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
}

/// One cache of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    pub key: CacheKey,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback_keys: Vec<String>,
    #[serde(default)]
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untracked: bool,
    /// Shared between protected and unprotected refs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unprotect: bool,
    pub policy: CachePolicy,
    #[serde(default)]
    pub when: UploadWhen,
}

/// How the key of a cache is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheKey {
    /// Text with variables, expanded by the runner.
    Text(String),
    /// Made from the content (or last commits) of files at the pipeline's commit; the compiler asks for
    /// their digests, so this form survives only where they were not to be had.
    Files {
        files: Vec<String>,
        prefix: Option<String>,
        commits: bool,
    },
}

/// Direction of a cache. A variable is resolved by the runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CachePolicy {
    PullPush,
    Pull,
    Push,
    #[serde(untagged)]
    Variable(String),
}

/// The archive that a job leaves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Artifacts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default)]
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untracked: bool,
    #[serde(default)]
    pub when: UploadWhen,
    /// Seconds; absent = the server's default; 0 = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_in_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose_as: Option<String>,
    /// `all`, `developer`, `maintainer`, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

/// A typed report, uploaded whatever the job's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `junit`, `dotenv`, `coverage_report`, …
    pub kind: String,
    pub paths: Vec<String>,
    /// `cobertura` or `jacoco` for `coverage_report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}
