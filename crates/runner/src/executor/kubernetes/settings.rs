//! A `[runners.kubernetes]` section, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::flags::Flags;
use super::overwrite::Guards;
use super::patch::Patch;
use crate::config::RunnerConfig;
use crate::config::kubernetes::{ContainerSecurityContext, Grade, GuestDelivery, KubernetesConfig, faults};
use crate::executor::{Error, Result};

/// Settings of the kubernetes executor, with defaults in place.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The section as it was written, for what is passed on unchanged.
    pub config: KubernetesConfig,
    pub runner_name: String,
    /// Folder of the sources inside; absolute.
    pub builds_dir: String,
    /// Folder of the caches inside; absolute.
    pub cache_dir: String,
    /// Where pods go, where neither a job nor `namespace_per_job` says otherwise.
    pub namespace: String,
    /// How the guest comes into the job's container.
    pub guest_delivery: GuestDelivery,
    /// How the guest is started where it was put.
    pub guest_start: GuestStart,
    pub retry: Retry,
    /// Between two looks at a pod that does not run yet.
    pub poll_interval: Duration,
    /// How long a pod may take until it runs.
    pub poll_timeout: Duration,
    /// How long the clean-up after a job may take.
    pub cleanup_timeout: Duration,
    /// `terminationGracePeriodSeconds` of the pod.
    pub pod_grace: Option<i64>,
    /// Grace of the pod's removal after the job.
    pub cleanup_grace: Option<i64>,
    /// Failed looks for the service account and the pull secrets after which one more is the last; 0 = nobody looks.
    pub availability_attempts: u32,
    pub print_warning_events: bool,
    /// What is odd about the section.
    pub warnings: Vec<String>,
    /// The flags as far as the runner itself sets them.
    pub flags: Flags,
    pub(super) feature_flags: BTreeMap<String, bool>,
    pub(super) guards: Guards,
    pub(super) patches: Vec<Patch>,
}

/// How the guest is started in containers that have none of its libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuestStart {
    /// It needs none.
    #[default]
    Static,
    /// By the loader that it brings along.
    Loaded,
}

/// How often requests to the API are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all of an error that is known to pass.
    pub limit: u32,
    /// The longest pause; the first is half a second.
    pub backoff_max: Duration,
    /// Part of an error's text and the tries of such errors: they go before `limit`.
    pub limits: Vec<(String, u32)>,
}

impl Settings {
    /// Checks a runner's section. Files of patches are read now.
    ///
    /// # Errors
    /// Everything that no job could run with, in one text.
    pub fn new(runner: &RunnerConfig) -> Result<Self> {
        let config = runner.kubernetes.clone().unwrap_or_default();
        let mut warnings = Vec::new();
        let mut errors = Vec::new();
        for fault in faults(&config) {
            let text = format!("kubernetes.{}: {}", fault.key, fault.message);
            match fault.grade {
                Grade::Error => errors.push(text),
                Grade::Warning => warnings.push(text),
            }
        }
        let folder = |given: &str, usual: &str| {
            if given.is_empty() {
                usual.to_owned()
            } else {
                given.to_owned()
            }
        };
        let (builds_dir, cache_dir) = (
            folder(&runner.builds_dir, "/builds"),
            folder(&runner.cache_dir, "/cache"),
        );
        for (key, path) in [("builds_dir", &builds_dir), ("cache_dir", &cache_dir)] {
            if !path.starts_with('/') || path.contains(':') || path.split('/').any(|part| part == "..") {
                errors.push(format!("{key} = {path:?} is no absolute folder inside a container"));
            }
        }
        if !errors.is_empty() {
            return Err(Error::configuration(
                errors.join("; "),
                "`tasuki runner lint` checks the whole file",
            ));
        }
        let patches = config.pod_spec.iter().enumerate();
        let patches = patches
            .map(|(index, patch)| Patch::read(patch, index))
            .collect::<Result<Vec<_>>>()?;
        let speaks_of_init = config.init_permissions_container_security_context != ContainerSecurityContext::default()
            || patches.iter().any(Patch::is_of_init_containers);
        let usual_delivery = if speaks_of_init {
            GuestDelivery::InitContainer
        } else {
            GuestDelivery::Helper
        };
        let old_grace = config.termination_grace_period_seconds;
        Ok(Self {
            runner_name: runner.name.clone(),
            builds_dir,
            cache_dir,
            namespace: folder(&config.namespace, "default"),
            guest_delivery: config.guest_delivery.unwrap_or(usual_delivery),
            guest_start: GuestStart::default(),
            retry: Retry::of(&config),
            poll_interval: seconds(config.poll_interval, 3),
            poll_timeout: seconds(config.poll_timeout, 180),
            cleanup_timeout: config
                .cleanup_resources_timeout
                .map(|timeout| timeout.0)
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(Duration::from_secs(5 * 60)),
            pod_grace: old_grace.or(config.pod_termination_grace_period_seconds),
            cleanup_grace: old_grace.or(config.cleanup_grace_period_seconds),
            availability_attempts: match config.resource_availability_check_max_attempts {
                None => 0,
                Some(attempts) => u32::try_from(attempts).unwrap_or(5),
            },
            print_warning_events: config.print_pod_warning_events.unwrap_or(true),
            warnings,
            flags: Flags::of_runner(&runner.feature_flags, &runner.environment),
            feature_flags: runner.feature_flags.clone(),
            guards: Guards::new(&config)?,
            patches,
            config,
        })
    }
}

fn seconds(given: u64, usual: u64) -> Duration {
    Duration::from_secs(if given == 0 { usual } else { given })
}

impl Retry {
    fn of(config: &KubernetesConfig) -> Self {
        Self {
            limit: if config.retry_limit == 0 { 5 } else { config.retry_limit },
            backoff_max: Duration::from_millis(match config.retry_backoff_max {
                0 => 2000,
                given => given.max(500),
            }),
            limits: config
                .retry_limits
                .iter()
                .map(|(text, tries)| (text.clone(), *tries))
                .collect(),
        }
    }
}
