//! `[runners.kubernetes.autoscaler]`: pods that hold room for jobs to come.

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
