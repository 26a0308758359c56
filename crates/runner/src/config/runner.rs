//! `[[runners]]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tasuki_model::secret::Secret;
use toml::value::Datetime;

use super::{CacheConfig, DockerConfig, GoDuration, KubernetesConfig};

/// One runner. Sections of executors that this build does not have are kept as they are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct RunnerConfig {
    pub name: String,
    pub url: String,
    pub id: i64,
    pub token: Secret,
    /// A date-time, or its text.
    #[serde(deserialize_with = "moment")]
    pub token_obtained_at: Option<Datetime>,
    #[serde(deserialize_with = "moment")]
    pub token_expires_at: Option<Datetime>,
    #[serde(rename = "tls-ca-file")]
    pub tls_ca_file: Option<PathBuf>,
    #[serde(rename = "tls-cert-file")]
    pub tls_cert_file: Option<PathBuf>,
    #[serde(rename = "tls-key-file")]
    pub tls_key_file: Option<PathBuf>,
    pub executor: String,
    /// Jobs at a time of this runner; 0 = no limit of its own.
    pub limit: u32,
    /// Requests for work at a time; 0 = 1.
    pub request_concurrency: u32,
    /// Waits out the pause also after a job was received.
    pub strict_check_interval: bool,
    /// Kilobytes of a job's log; 0 = 4,096.
    pub output_limit: u64,
    /// 0 = 3.
    pub unhealthy_requests_limit: u32,
    pub unhealthy_interval: Option<GoDuration>,
    /// 0 = 10.
    pub job_status_final_update_retry_limit: u32,
    pub builds_dir: String,
    pub cache_dir: String,
    pub clone_url: String,
    /// `KEY=value`.
    pub environment: Vec<String>,
    /// `bash`, `sh`, `pwsh`, …; empty = what the executor finds.
    pub shell: String,
    pub labels: BTreeMap<String, String>,
    pub pre_get_sources_script: String,
    pub post_get_sources_script: String,
    pub pre_build_script: String,
    pub post_build_script: String,
    pub prepare_timeout: Option<GoDuration>,
    pub get_sources_timeout: Option<GoDuration>,
    pub debug_trace_disabled: bool,
    pub safe_directory_checkout: Option<bool>,
    pub clean_git_config: Option<bool>,
    pub proxy_exec: Option<bool>,
    pub custom_build_dir: CustomBuildDir,
    pub feature_flags: BTreeMap<String, bool>,
    pub referees: toml::Table,
    pub artifact: ArtifactConfig,
    pub monitoring: toml::Table,
    pub use_slot_cgroups: bool,
    pub slot_cgroup_template: String,
    pub step_runner_image: String,
    pub cache: CacheConfig,
    pub ssh: Option<SshConfig>,
    pub custom: Option<CustomConfig>,
    pub docker: Option<DockerConfig>,
    pub machine: Option<toml::Table>,
    pub autoscaler: Option<toml::Table>,
    pub kubernetes: Option<KubernetesConfig>,
    pub instance: Option<toml::Table>,
    pub parallels: Option<toml::Table>,
    pub virtualbox: Option<toml::Table>,
    pub experimental: toml::Table,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            id: 0,
            token: Secret::new(""),
            token_obtained_at: None,
            token_expires_at: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            executor: String::new(),
            limit: 0,
            request_concurrency: 0,
            strict_check_interval: false,
            output_limit: 0,
            unhealthy_requests_limit: 0,
            unhealthy_interval: None,
            job_status_final_update_retry_limit: 0,
            builds_dir: String::new(),
            cache_dir: String::new(),
            clone_url: String::new(),
            environment: Vec::new(),
            shell: String::new(),
            labels: BTreeMap::new(),
            pre_get_sources_script: String::new(),
            post_get_sources_script: String::new(),
            pre_build_script: String::new(),
            post_build_script: String::new(),
            prepare_timeout: None,
            get_sources_timeout: None,
            debug_trace_disabled: false,
            safe_directory_checkout: None,
            clean_git_config: None,
            proxy_exec: None,
            custom_build_dir: CustomBuildDir::default(),
            feature_flags: BTreeMap::new(),
            referees: toml::Table::new(),
            artifact: ArtifactConfig::default(),
            monitoring: toml::Table::new(),
            use_slot_cgroups: false,
            slot_cgroup_template: String::new(),
            step_runner_image: String::new(),
            cache: CacheConfig::default(),
            ssh: None,
            custom: None,
            docker: None,
            machine: None,
            autoscaler: None,
            kubernetes: None,
            instance: None,
            parallels: None,
            virtualbox: None,
            experimental: toml::Table::new(),
        }
    }
}

/// A date-time as TOML has it, or the same as a text. An empty text is none.
fn moment<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Datetime>, D::Error> {
    match toml::Value::deserialize(input)? {
        toml::Value::Datetime(at) => Ok(Some(at)),
        toml::Value::String(text) if text.is_empty() => Ok(None),
        toml::Value::String(text) => text
            .parse()
            .map(Some)
            .map_err(|_| D::Error::custom("expected a date and time like 2026-01-31T12:00:00Z")),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => Err(D::Error::custom("expected a date and time like 2026-01-31T12:00:00Z")),
    }
}

impl RunnerConfig {
    /// Bytes that a job's log may have.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        let kilobytes = if self.output_limit == 0 {
            4096
        } else {
            self.output_limit
        };
        kilobytes.saturating_mul(1024)
    }

    /// Requests for work at a time.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.request_concurrency.max(1)
    }

    /// Refused requests in a row until the runner rests.
    #[must_use]
    pub fn unhealthy_limit(&self) -> u32 {
        if self.unhealthy_requests_limit == 0 {
            3
        } else {
            self.unhealthy_requests_limit
        }
    }

    /// How long it rests.
    #[must_use]
    pub fn unhealthy_pause(&self) -> Duration {
        self.unhealthy_interval
            .map_or(Duration::from_secs(60 * 60), |interval| interval.0)
    }

    /// Tries to tell a job's final state, in all.
    #[must_use]
    pub fn final_tries(&self) -> u32 {
        if self.job_status_final_update_retry_limit == 0 {
            10
        } else {
            self.job_status_final_update_retry_limit
        }
    }

    /// Short token of the runner.
    #[must_use]
    pub fn short_token(&self) -> &str {
        tasuki_proto::gitlab::short_token(self.token.expose())
    }
}

/// `[runners.custom_build_dir]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct CustomBuildDir {
    /// Absent = where the folder is inside a container.
    pub enabled: Option<bool>,
}

impl CustomBuildDir {
    /// Whether jobs may name their folder (`GIT_CLONE_PATH`) with that executor.
    #[must_use]
    pub fn allowed(&self, executor: &str) -> bool {
        self.enabled.unwrap_or(matches!(executor, "docker" | "kubernetes"))
    }
}

/// `[runners.artifact]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ArtifactConfig {
    pub upload_timeout: Option<GoDuration>,
    pub response_header_timeout: Option<GoDuration>,
}

/// `[runners.ssh]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SshConfig {
    pub user: String,
    pub password: Option<Secret>,
    pub host: String,
    pub port: String,
    pub identity_file: String,
    pub disable_strict_host_key_checking: Option<bool>,
    pub known_hosts_file: String,
}

/// `[runners.custom]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct CustomConfig {
    pub config_exec: String,
    pub config_args: Vec<String>,
    pub config_exec_timeout: Option<u64>,
    pub prepare_exec: String,
    pub prepare_args: Vec<String>,
    pub prepare_exec_timeout: Option<u64>,
    pub run_exec: String,
    pub run_args: Vec<String>,
    pub cleanup_exec: String,
    pub cleanup_args: Vec<String>,
    pub cleanup_exec_timeout: Option<u64>,
    pub graceful_kill_timeout: Option<u64>,
    pub force_kill_timeout: Option<u64>,
}
