//! What a guest answers. JSON on its standard output.

use serde::{Deserialize, Serialize};
use tasuki_model::reason::{FailureReason, Fault};

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Response {
    /// Absent: it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    #[serde(default)]
    pub report: Report,
}

impl Response {
    /// Exit code of the guest's process: 0 done, 1 a fault of the job, 3 a fault of ours.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self.failure.as_ref().map(Failure::fault) {
            None => 0,
            Some(Fault::User) => 1,
            Some(Fault::System) => 3,
        }
    }
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub reason: FailureReason,
    /// For the log: what was tried, what went wrong, what to do. Holds no secret.
    pub message: String,
    /// Whether another attempt may succeed.
    pub transient: bool,
}

impl Failure {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.reason.fault()
    }
}

/// Facts of what was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Files written to or taken from the project folder.
    #[serde(default)]
    pub files: u64,
    /// Their size, uncompressed.
    #[serde(default)]
    pub bytes: u64,
    /// Size of the archive as transferred.
    #[serde(default)]
    pub transferred: u64,
    /// Key of the cache that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_key: Option<String>,
    /// SHA-256 of many files, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Nothing was to be done: no file matched, the cache is up to date, there was no cache.
    #[serde(default)]
    pub skipped: bool,
}
