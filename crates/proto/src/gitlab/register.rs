//! The life of a registration: register, verify, unregister, reset of the token.

use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;

use super::Info;
use super::nullable::nullable;

/// Which refs a runner serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLevel {
    #[default]
    NotProtected,
    RefProtected,
}

/// Body of `POST runners`: registration with a registration token (legacy). Answer: 201 [`Registered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    pub token: Secret,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub maintenance_note: String,
    /// One string, tags joined by commas.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub tag_list: String,
    #[serde(default, deserialize_with = "nullable")]
    pub run_untagged: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub locked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_level: Option<AccessLevel>,
    /// Seconds; 0 or absent = no limit of the runner's own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "zero")]
    pub maximum_timeout: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub paused: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn zero(n: &u64) -> bool {
    *n == 0
}

/// Answer of register and verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Never 0 for a runner that exists.
    pub id: i64,
    pub token: Secret,
    /// RFC 3339; `null` = never.
    #[serde(default)]
    pub token_expires_at: Option<String>,
}

/// Body of `POST runners/verify`. Answer: 200 [`Registered`]; 403 means that the runner is gone, nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRequest {
    #[serde(default, deserialize_with = "nullable")]
    pub info: Info,
    pub token: Secret,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub system_id: String,
}

/// Body of `DELETE runners` (without `system_id`) and `DELETE runners/managers` (with it). Answer: 204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnregisterRequest {
    pub token: Secret,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub system_id: String,
}

/// Body of `POST runners/reset_authentication_token`. Answer: 201 [`TokenReset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetRequest {
    pub token: Secret,
}

/// Answer of both resets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReset {
    pub token: Secret,
    /// RFC 3339; `null` = never.
    #[serde(default)]
    pub token_expires_at: Option<String>,
}

/// Answer of `GET runners/router/discovery`; 501 where there is no job router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    pub server_url: String,
}
