//! What a runner says about itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::nullable::nullable;

/// The `info` object of register, verify, job request and job update.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Info {
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
    #[serde(default, deserialize_with = "nullable")]
    pub revision: String,
    /// Operating system, in Go's words (`linux`, `darwin`, `windows`).
    #[serde(default, deserialize_with = "nullable")]
    pub platform: String,
    /// In Go's words (`amd64`, `arm64`).
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub executor: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub shell: String,
    #[serde(default, deserialize_with = "nullable")]
    pub features: Features,
    #[serde(default, deserialize_with = "nullable")]
    pub config: ConfigInfo,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The part of a runner's configuration that the server may see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigInfo {
    #[serde(default, deserialize_with = "nullable")]
    pub gpus: String,
}

/// Names of the features that the protocol knows.
pub mod feature {
    pub const VARIABLES: &str = "variables";
    pub const IMAGE: &str = "image";
    pub const SERVICES: &str = "services";
    pub const SHARED: &str = "shared";
    pub const SESSION: &str = "session";
    pub const TERMINAL: &str = "terminal";
    pub const PROXY: &str = "proxy";
    pub const ARTIFACTS: &str = "artifacts";
    pub const CACHE: &str = "cache";
    pub const FALLBACK_CACHE_KEYS: &str = "fallback_cache_keys";
    pub const UPLOAD_MULTIPLE_ARTIFACTS: &str = "upload_multiple_artifacts";
    pub const UPLOAD_RAW_ARTIFACTS: &str = "upload_raw_artifacts";
    pub const REFSPECS: &str = "refspecs";
    pub const MASKING: &str = "masking";
    pub const RAW_VARIABLES: &str = "raw_variables";
    pub const ARTIFACTS_EXCLUDE: &str = "artifacts_exclude";
    pub const MULTI_BUILD_STEPS: &str = "multi_build_steps";
    pub const VAULT_SECRETS: &str = "vault_secrets";
    pub const RETURN_EXIT_CODE: &str = "return_exit_code";
    pub const TRACE_RESET: &str = "trace_reset";
    pub const TRACE_CHECKSUM: &str = "trace_checksum";
    pub const TRACE_SIZE: &str = "trace_size";
    pub const CANCELABLE: &str = "cancelable";
    pub const CANCEL_GRACEFULLY: &str = "cancel_gracefully";
    pub const TWO_PHASE_JOB_COMMIT: &str = "two_phase_job_commit";
    pub const JOB_INPUTS: &str = "job_inputs";
    pub const SERVICE_VARIABLES: &str = "service_variables";
    pub const SERVICE_MULTIPLE_ALIASES: &str = "service_multiple_aliases";
    pub const IMAGE_EXECUTOR_OPTS: &str = "image_executor_opts";
    pub const SERVICE_EXECUTOR_OPTS: &str = "service_executor_opts";
    pub const NATIVE_STEPS_INTEGRATION: &str = "native_steps_integration";
    /// Ours: the runner understands the `tasuki` object of the payload and keeps contact at the interval it asks for.
    pub const TASUKI: &str = "tasuki";
    /// Ours: the runner dials out for terminals ([`crate::gitlab::headers::TERMINAL`]). Not GitLab's `terminal`, which promises a
    /// session server that the coordinator dials.
    pub const TASUKI_TERMINAL: &str = "tasuki_terminal";
}

/// The features that a runner has; on the wire a map of booleans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features(BTreeSet<String>);

impl Features {
    /// Whether the runner has the feature of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Adds a feature.
    pub fn insert(&mut self, name: impl Into<String>) {
        self.0.insert(name.into());
    }

    /// All names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for Features {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Features {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|name| (name, true)))
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        // Whatever is not `true` counts as absent: newer runners may send more than booleans.
        let map = BTreeMap::<String, serde_json::Value>::deserialize(input)?;
        Ok(map
            .into_iter()
            .filter(|(_, value)| *value == serde_json::Value::Bool(true))
            .map(|(name, _)| name)
            .collect())
    }
}
