//! What a job needs to know of the runner that it runs on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tasuki_proto::client::RunnerClient;
use tasuki_proto::gitlab::{ConfigInfo, Features, Info, feature};
use tasuki_rt::{Clock, Tasks};

use super::cache_store::Keyring;
use crate::config::RunnerConfig;
use crate::executor::Executor;

/// One `[[runners]]` entry in operation. Shared by its jobs.
#[derive(Clone)]
pub struct Host {
    pub config: Arc<RunnerConfig>,
    pub client: Arc<RunnerClient>,
    pub executor: Arc<dyn Executor>,
    pub system_id: String,
    pub info: Info,
    /// Folder of the logs' spool files.
    pub spool_dir: PathBuf,
    /// A `source.path` of the payload is followed: the server is this very process or its parent.
    pub trusts_snapshots: bool,
    pub clock: Clock,
    pub tasks: Tasks,
    /// Signs for the store of `[runners.cache]` where the configuration has no keys.
    pub keyring: Arc<Keyring>,
    pub pauses: Pauses,
    /// Where the job is that this was made for.
    pub progress: Progress,
}

/// The stage that a job is in, for those who watch it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<String>>);

impl Progress {
    pub(crate) fn enter(&self, stage: &str) {
        stage.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The stage's name as in sections of the log; empty before the first.
    #[must_use]
    pub fn stage(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Pauses between tries; tests make them short.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// Between tries to prepare the executor.
    pub prepare: Duration,
    /// First and longest between the attempts of a stage.
    pub stage: (Duration, Duration),
    /// The same with `FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY` off.
    pub stage_short: (Duration, Duration),
    /// First and longest between tries to tell the final state.
    pub final_state: (Duration, Duration),
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            prepare: Duration::from_secs(3),
            stage: (Duration::from_secs(5), Duration::from_secs(5 * 60)),
            stage_short: (Duration::from_secs(1), Duration::from_secs(5)),
            final_state: (Duration::from_secs(1), Duration::from_secs(60 * 60)),
        }
    }
}

impl Pauses {
    /// No pause longer than some milliseconds, for tests.
    #[must_use]
    pub fn short() -> Self {
        let short = (Duration::from_millis(2), Duration::from_millis(10));
        Self {
            prepare: short.0,
            stage: short,
            stage_short: short,
            final_state: short,
        }
    }
}

/// The places that a job occupies while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// `CI_CONCURRENT_ID`.
    pub runner: u32,
    /// `CI_CONCURRENT_PROJECT_ID`.
    pub project: u32,
}

/// What this program says about itself with an executor of that kind; empty at registration.
#[must_use]
pub fn runner_info(executor: &str, labels: std::collections::BTreeMap<String, String>) -> Info {
    let network = [
        feature::TRACE_RESET,
        feature::TRACE_CHECKSUM,
        feature::TRACE_SIZE,
        feature::CANCELABLE,
        feature::CANCEL_GRACEFULLY,
        feature::TWO_PHASE_JOB_COMMIT,
        feature::TASUKI,
    ];
    let jobs = [
        feature::VARIABLES,
        feature::SHARED,
        feature::ARTIFACTS,
        feature::CACHE,
        feature::FALLBACK_CACHE_KEYS,
        feature::UPLOAD_MULTIPLE_ARTIFACTS,
        feature::UPLOAD_RAW_ARTIFACTS,
        feature::REFSPECS,
        feature::MASKING,
        feature::RAW_VARIABLES,
        feature::ARTIFACTS_EXCLUDE,
        feature::MULTI_BUILD_STEPS,
        feature::RETURN_EXIT_CODE,
    ];
    let jobs: &[&str] = if executor.is_empty() { &[] } else { &jobs };
    // In a container nothing is shared with other jobs, and images mean something.
    let containers = [
        feature::IMAGE,
        feature::SERVICES,
        feature::SERVICE_VARIABLES,
        feature::SERVICE_MULTIPLE_ALIASES,
        feature::IMAGE_EXECUTOR_OPTS,
        feature::SERVICE_EXECUTOR_OPTS,
    ];
    let in_containers = matches!(executor, "docker" | "kubernetes");
    let contained: &[&str] = if in_containers { &containers } else { &[] };
    let interactive: &[&str] = match executor {
        "shell" | "docker" | "kubernetes" => &[feature::TASUKI_TERMINAL],
        _ => &[],
    };
    let all = network.iter().chain(jobs).chain(contained).chain(interactive);
    let all = all.filter(|name| !in_containers || **name != feature::SHARED);
    Info {
        name: "tasuki".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("TASUKI_REVISION").unwrap_or_default().to_owned(),
        platform: std::env::consts::OS.to_owned(),
        architecture: go_architecture().to_owned(),
        executor: executor.to_owned(),
        shell: if executor.is_empty() {
            String::new()
        } else {
            "bash".to_owned()
        },
        features: all.copied().collect::<Features>(),
        config: ConfigInfo::default(),
        labels,
    }
}

/// The machine's architecture in Go's words.
pub(super) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
