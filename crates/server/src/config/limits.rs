//! Sizes, rates and lifetimes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept, and for how long. Since 0.1.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days after which a finished pipeline is removed with its logs; 0 = never. Since 0.1.
    pub pipelines_days: u32,
    /// Days that an archive is kept when its job sets no `expire_in`; 0 = for ever. Since 0.1.
    pub artifacts_days: u32,
    /// Bytes that the caches of one project may take before the least recently used one goes. Since 0.1.
    pub cache_bytes_per_project: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            pipelines_days: 90,
            artifacts_days: 30,
            cache_bytes_per_project: 10 * 1024 * 1024 * 1024,
        }
    }
}

/// Sizes and rates that one caller may use. Since 0.1.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections open at a time; more wait to be accepted. Since 0.1.
    pub connections: usize,
    /// Bytes of a JSON request. Since 0.1.
    pub json_bytes: usize,
    /// Bytes of one piece of a log (GitLab's runner sends at most 1 MiB). Since 0.1.
    pub log_patch_bytes: usize,
    /// Bytes of a job's log; a job that exceeds it fails with `trace_size_exceeded`. Since 0.1.
    pub log_bytes: u64,
    /// Seconds between two pieces of a log that nobody follows, from 1 to 60. A runner learns of a cancel no sooner;
    /// a longer pause spares requests where thousands of jobs run. Since 0.1.
    pub log_interval_s: u32,
    /// Bytes of one archive. Since 0.1.
    pub artifact_bytes: u64,
    /// Bytes of a dotenv report. Since 0.1.
    pub dotenv_bytes: u64,
    /// Variables of a dotenv report. Since 0.1.
    pub dotenv_variables: usize,
    /// Requests for a job a second, for each runner token. Since 0.1.
    pub job_requests_per_s: u32,
    /// Updates and archives a second, for each job token. Since 0.1.
    pub job_updates_per_s: u32,
    /// Pieces of its log a second, for each job token. Since 0.1.
    pub log_patches_per_s: u32,
    /// Failed log-ins and unknown tokens a minute, for each address. Since 0.1.
    pub failed_logins_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            json_bytes: 2 * 1024 * 1024,
            log_patch_bytes: 4 * 1024 * 1024,
            log_bytes: 512 * 1024 * 1024,
            log_interval_s: 3,
            artifact_bytes: 5 * 1024 * 1024 * 1024,
            dotenv_bytes: 5120,
            dotenv_variables: 50,
            job_requests_per_s: 20_000,
            job_updates_per_s: 500,
            log_patches_per_s: 500,
            failed_logins_per_minute: 60,
        }
    }
}
