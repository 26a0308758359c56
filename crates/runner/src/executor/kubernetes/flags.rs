//! Feature flags that change what is made.

use std::collections::BTreeMap;

use crate::executor::Task;

/// The flags of one job: the runner's configuration, else the job's variable, else GitLab's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// `FF_KUBERNETES_HONOR_ENTRYPOINT`: the image's entry point runs before the scripts.
    pub honor_entrypoint: bool,
    /// `FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY`: exec instead of attach.
    pub legacy_exec: bool,
    /// `FF_USE_ADVANCED_POD_SPEC_CONFIGURATION`: `pod_spec` counts.
    pub advanced_pod_spec: bool,
    /// `FF_USE_POD_ACTIVE_DEADLINE_SECONDS`: the cluster itself ends a pod that outlives its job's time.
    pub active_deadline: bool,
    /// `FF_PRINT_POD_EVENTS`: the pod's events stand in the job's log.
    pub print_pod_events: bool,
    /// `FF_WAIT_FOR_POD_TO_BE_REACHABLE`: a pod that runs and cannot be spoken to yet is waited for.
    pub wait_for_reachable: bool,
}

impl Flags {
    pub(super) fn of(config: &BTreeMap<String, bool>, task: &Task) -> Self {
        Self::by(|name, default| task.flag(name, config, default))
    }

    /// As a runner's configuration alone sets them: `[runners.feature_flags]`, then `environment`.
    pub(super) fn of_runner(config: &BTreeMap<String, bool>, environment: &[String]) -> Self {
        Self::by(|name, default| {
            let set = environment.iter().rev().find_map(|entry| {
                let (key, value) = entry.split_once('=')?;
                (key.trim() == name).then(|| crate::job::truth(value)).flatten()
            });
            config.get(name).copied().or(set).unwrap_or(default)
        })
    }

    fn by(flag: impl Fn(&str, bool) -> bool) -> Self {
        Self {
            honor_entrypoint: flag("FF_KUBERNETES_HONOR_ENTRYPOINT", false),
            legacy_exec: flag("FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY", false),
            advanced_pod_spec: flag("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION", false),
            active_deadline: flag("FF_USE_POD_ACTIVE_DEADLINE_SECONDS", true),
            print_pod_events: flag("FF_PRINT_POD_EVENTS", false),
            wait_for_reachable: flag("FF_WAIT_FOR_POD_TO_BE_REACHABLE", false),
        }
    }
}
