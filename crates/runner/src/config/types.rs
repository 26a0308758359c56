//! Global keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{GoDuration, LogFormat, LogLevel, RunnerConfig};

/// The whole file, with defaults in place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Jobs at a time, over all runners. 0 is refused.
    pub concurrent: u32,
    /// Seconds; 0 = 3.
    pub check_interval: u64,
    pub log_level: Option<LogLevel>,
    pub log_format: Option<LogFormat>,
    /// Unix user of shell jobs.
    pub user: Option<String>,
    pub sentry_dsn: Option<String>,
    pub connection_max_age: Option<GoDuration>,
    pub listen_address: Option<String>,
    /// Seconds that jobs have to end when the runner is stopped by force; 0 = 30.
    pub shutdown_timeout: u64,
    pub labels: BTreeMap<String, String>,
    pub session_server: Option<SessionServer>,
    pub machine: toml::Table,
    pub experimental: toml::Table,
    pub runners: Vec<RunnerConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrent: 1,
            check_interval: 0,
            log_level: None,
            log_format: None,
            user: None,
            sentry_dsn: None,
            connection_max_age: None,
            listen_address: None,
            shutdown_timeout: 0,
            labels: BTreeMap::new(),
            session_server: None,
            machine: toml::Table::new(),
            experimental: toml::Table::new(),
            runners: Vec::new(),
        }
    }
}

impl Config {
    /// A configuration of one runner, for `run-single` and for a runner inside a server's process.
    #[must_use]
    pub fn single(concurrent: u32, runner: RunnerConfig) -> Self {
        Self {
            concurrent,
            runners: vec![runner],
            ..Self::default()
        }
    }

    /// Pause between two requests for work of one runner to a server that does not hold them.
    #[must_use]
    pub fn check_pause(&self) -> Duration {
        Duration::from_secs(if self.check_interval == 0 {
            3
        } else {
            self.check_interval
        })
    }

    /// Time for jobs to end at a forced stop.
    #[must_use]
    pub fn shutdown_limit(&self) -> Duration {
        Duration::from_secs(if self.shutdown_timeout == 0 {
            30
        } else {
            self.shutdown_timeout
        })
    }

    /// Age at which idle connections are closed.
    #[must_use]
    pub fn connection_age(&self) -> Duration {
        self.connection_max_age
            .map_or(Duration::from_secs(15 * 60), |age| age.0)
    }
}

/// `[session_server]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SessionServer {
    pub listen_address: String,
    pub advertise_address: String,
    /// Seconds; 0 = 1,800.
    pub session_timeout: u64,
}
