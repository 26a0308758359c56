//! Telling the state of a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;

use super::Info;
use super::nullable::{exit_code, is_default, no_token, nullable, size, token};

/// What a runner may report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Keep-alive of a job that was handed out and is not yet acknowledged.
    Pending,
    /// First one acknowledges (two-phase commit), later ones keep the lease.
    Running,
    Success,
    Failed,
}

impl JobState {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

/// Body of `PUT jobs/:id`. Answer: 200, 202 (send again), 409, 412 (log differs), 403 (stop).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateJob {
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    /// The job's token. Clients send it here and in the header; servers take either.
    #[serde(default = "no_token", deserialize_with = "token")]
    pub token: Secret,
    /// As text, so that a server can answer 400 to a word that it does not know.
    pub state: String,
    /// Only with `failed`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub failure_reason: String,
    /// Old place of `output.checksum`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub checksum: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub output: Output,
    /// Absent when 0; read from any number, and folded into 32 bits.
    #[serde(default, deserialize_with = "exit_code", skip_serializing_if = "is_default")]
    pub exit_code: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_environment_key: Option<String>,
    /// What the job gives to those that need it. Only told to a server that asked for it (`tasuki.outputs`).
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub outputs: BTreeMap<String, String>,
}

/// Check of the log as it was uploaded (after masking, with timestamps).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// `crc32:%08x`, IEEE polynomial.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub checksum: String,
    #[serde(default, deserialize_with = "size", skip_serializing_if = "is_default")]
    pub bytesize: u64,
}

/// A CRC-32 in the form of the wire.
#[must_use]
pub fn checksum(crc: u32) -> String {
    format!("crc32:{crc:08x}")
}
