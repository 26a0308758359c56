//! `[runners.kubernetes.autoscaler]`: pods that hold room for jobs to come.

use cronexpr::Crontab;
use serde::Deserialize;

use crate::config::GoDuration;

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Autoscaler {
    /// 0 = none.
    pub max_pause_pods: u32,
    /// Empty = `registry.k8s.io/pause:3.10`.
    pub pause_pod_image: String,
    /// Empty = one of our own, of priority -1.
    pub pause_pod_priority_class_name: String,
    pub pause_pod_image_pull_secrets: Vec<String>,
    pub policy: Vec<AutoscalerPolicy>,
}

/// `[[runners.kubernetes.autoscaler.policy]]`; the last whose periods hold now counts.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct AutoscalerPolicy {
    /// Cron expressions of five fields; empty = always.
    pub periods: Vec<String>,
    /// Empty = UTC.
    pub timezone: String,
    pub idle_count: u32,
    /// Absent = 5 min.
    pub idle_time: Option<GoDuration>,
    pub scale_factor: f64,
    /// 0 = no limit.
    pub scale_factor_limit: u32,
}

/// A period of a policy: the minutes that a cron expression names.
///
/// # Errors
/// It has not five fields, one of them is none of cron's, or the time zone is unknown.
pub(crate) fn period(text: &str, timezone: &str) -> Result<Crontab, String> {
    let zone = if timezone.is_empty() { "UTC" } else { timezone };
    if zone.split_whitespace().count() != 1 || jiff::tz::TimeZone::get(zone).is_err() {
        return Err(format!("{zone:?} is no time zone, as Europe/Berlin is one"));
    }
    if text.split_whitespace().count() != 5 {
        return Err(format!("{text:?} has not the five fields of cron"));
    }
    cronexpr::parse_crontab(&format!("{text} {zone}"))
        .map_err(|error| format!("{text:?} is no cron expression: {error}"))
}
