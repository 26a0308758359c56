//! Picking runners of config.toml.

use std::path::Path;
use std::sync::Arc;

use tasuki_proto::client::RunnerClient;

use super::args::Select;
use super::context::folder;
use super::{Error, Result};
use crate::config::{Config, RunnerConfig};
use crate::metrics::Metrics;

impl Select {
    /// Whether nothing was named.
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.url.is_none() && self.token.is_none()
    }

    /// Positions of the runners that all given words name.
    pub(super) fn positions(&self, config: &Config) -> Vec<usize> {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        let fits = |runner: &RunnerConfig| {
            is(&self.name, &runner.name) && is(&self.url, &runner.url) && is(&self.token, runner.token.expose())
        };
        config
            .runners
            .iter()
            .enumerate()
            .filter(|(_, runner)| fits(runner))
            .map(|(at, _)| at)
            .collect()
    }
}

/// A client of the runner's server.
pub(super) fn client(config: &Config, runner: &RunnerConfig, file: &Path) -> Result<RunnerClient> {
    let certs = folder(file).join("certs");
    crate::poll::client(config, runner, Some(&certs), &Arc::new(Metrics::default())).map_err(Error::usage)
}
