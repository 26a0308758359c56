//! What a job's variables and the runner's feature flags ask for.

use std::time::Duration;

use super::variables::{Variables, truth};
use crate::config::{RunnerConfig, parse_duration};

/// Feature flags that we act on, with their defaults. Others are accepted and have no effect.
const FLAGS: &[(&str, bool)] = &[
    ("FF_TIMESTAMPS", true),
    ("FF_MASK_ALL_DEFAULT_TOKENS", true),
    ("FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY", true),
    ("FF_USE_DIRECT_DOWNLOAD", true),
    ("FF_SCRIPT_SECTIONS", false),
    ("FF_ENABLE_BASH_EXIT_CODE_CHECK", false),
    ("FF_HASH_CACHE_KEYS", false),
    ("FF_USE_ADAPTIVE_REQUEST_CONCURRENCY", true),
    ("FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL", false),
    ("FF_DISABLE_AUTOMATIC_TOKEN_ROTATION", false),
];

/// The flags as the runner itself sees them, for the job's environment: a flag of a job's own variables comes after.
pub(super) fn runner_flags(config: &RunnerConfig) -> impl Iterator<Item = (&str, bool)> {
    let others = FLAGS
        .iter()
        .filter(|(name, _)| !config.feature_flags.contains_key(*name))
        .copied();
    let set = config.feature_flags.iter().map(|(name, value)| (name.as_str(), *value));
    others.chain(set)
}

/// The value of a feature flag: the runner's configuration, else the job's variable, else the default.
pub(super) fn flag(name: &str, config: &RunnerConfig, variables: &Variables) -> bool {
    if let Some(value) = config.feature_flags.get(name) {
        return *value;
    }
    if let Some(value) = truth(&variables.value(name)) {
        return value;
    }
    FLAGS
        .iter()
        .find(|(known, _)| *known == name)
        .is_some_and(|(_, default)| *default)
}

/// Flags that differ from their defaults, for the banner: `FF_X:true`.
pub(super) fn unusual_flags(config: &RunnerConfig, variables: &Variables) -> Vec<String> {
    FLAGS
        .iter()
        .map(|(name, default)| (name, flag(name, config, variables), default))
        .filter(|(_, value, default)| value != *default)
        .map(|(name, value, _)| format!("{name}:{value}"))
        .collect()
}

/// `*_ATTEMPTS`: 1 by default, kept within 1..=10. With the warning that goes into the log.
pub(super) fn attempts(name: &str, variables: &Variables) -> (u32, Option<String>) {
    let text = variables.value(name);
    if text.is_empty() {
        return (1, None);
    }
    match text.trim().parse::<i64>() {
        Ok(number @ 1..=10) => (u32::try_from(number).unwrap_or(1), None),
        Ok(number) => {
            let kept = if number < 1 { 1 } else { 10 };
            (kept, Some(format!("{name}: {number} is outside 1..10, {kept} is used")))
        }
        Err(_) => (1, Some(format!("{name}: {text:?} is not a number, 1 is used"))),
    }
}

/// A duration variable (`RUNNER_SCRIPT_TIMEOUT`); `None` where it is not set. With the warning for the log.
pub(super) fn duration(name: &str, variables: &Variables) -> (Option<Duration>, Option<String>) {
    let text = variables.value(name);
    if text.is_empty() {
        return (None, None);
    }
    match parse_duration(&text) {
        Ok(limit) if !limit.is_zero() => (Some(limit), None),
        Ok(_) => (None, None),
        Err(error) => (None, Some(format!("{name}: {error}; it is ignored"))),
    }
}
