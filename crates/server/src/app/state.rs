//! What every handler can reach.

use std::net::IpAddr;
use std::sync::Arc;

use tasuki_model::time::Timestamp;
use tasuki_pipeline::ServerInfo;
use tasuki_rt::{CancellationToken, Clock, Tasks};
use tasuki_store::Store;

use super::{Events, Vault};
use crate::blobs::Files;
use crate::config::Config;
use crate::git::Mirrors;
use crate::http::RateLimiter;
use crate::http::runner_api::Contacts;
use crate::identity::AdminToken;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::scheduler::Scheduler;
use crate::terminals::Terminals;
use crate::triggers::Triggers;

/// The server's parts. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub(super) config: Config,
    /// How others reach this server, without a trailing slash.
    pub(super) url: String,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    /// Cancelled first at shutdown: held requests answer at once.
    pub(super) draining: CancellationToken,
    pub(super) store: Store,
    pub(super) mirrors: Mirrors,
    pub(super) scheduler: Scheduler,
    pub(super) files: Files,
    pub(super) logs: Logs,
    pub(super) triggers: Triggers,
    pub(super) vault: Vault,
    pub(super) contacts: Contacts,
    pub(super) terminals: Terminals,
    /// Differs from one start to the next.
    pub(super) boot: u64,
    pub(super) events: Events,
    pub(super) metrics: Metrics,
    pub(super) admin: AdminToken,
    pub(super) failed_logins: RateLimiter<IpAddr>,
    pub(super) job_requests: RateLimiter<String>,
    pub(super) job_updates: RateLimiter<String>,
    pub(super) log_patches: RateLimiter<String>,
}

impl App {
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// How others reach this server, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.now_ms())
    }

    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Cancelled when the server begins to stop: whatever holds a request answers then.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    #[must_use]
    pub fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.0.scheduler
    }

    /// Artifacts and caches.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.0.logs
    }

    /// What starts pipelines.
    #[must_use]
    pub fn triggers(&self) -> &Triggers {
        &self.0.triggers
    }

    /// What is encrypted at rest.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// When runners were last heard of.
    #[must_use]
    pub fn contacts(&self) -> &Contacts {
        &self.0.contacts
    }

    /// Terminals in running jobs.
    #[must_use]
    pub fn terminals(&self) -> &Terminals {
        &self.0.terminals
    }

    /// Differs from one start to the next.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.0.boot
    }

    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    #[must_use]
    pub fn admin(&self) -> &AdminToken {
        &self.0.admin
    }

    /// Wrong tokens by address.
    #[must_use]
    pub fn failed_logins(&self) -> &RateLimiter<IpAddr> {
        &self.0.failed_logins
    }

    /// Requests for a job by the digest of the runner's token.
    #[must_use]
    pub fn job_requests(&self) -> &RateLimiter<String> {
        &self.0.job_requests
    }

    /// Updates and archives by the digest of the job's token.
    #[must_use]
    pub fn job_updates(&self) -> &RateLimiter<String> {
        &self.0.job_updates
    }

    /// Pieces of logs by the digest of the job's token.
    #[must_use]
    pub fn log_patches(&self) -> &RateLimiter<String> {
        &self.0.log_patches
    }

    /// What pipelines are told of this server.
    #[must_use]
    pub fn server_info(&self) -> ServerInfo {
        ServerInfo {
            url: self.0.url.clone(),
            ..ServerInfo::default()
        }
    }
}
