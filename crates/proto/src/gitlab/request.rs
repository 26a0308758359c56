//! Asking for work.

use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;

use super::Info;
use super::nullable::{no_token, nullable, token};

/// Body of `POST jobs/request`. Answer: 201 [`super::JobResponse`], 204 with `X-GitLab-Last-Update`, 403, 409, 422.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    /// Clients send it here and in the header; servers take either.
    #[serde(default = "no_token", deserialize_with = "token")]
    pub token: Secret,
    /// Absent from old runners: they count as one manager named `<legacy>`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub system_id: String,
    /// The last `X-GitLab-Last-Update` seen; equal to the present one = 204 at once.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub last_update: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionInfo>,
}

/// Where the interactive session of the job to come would be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    /// PEM.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Secret>,
}
