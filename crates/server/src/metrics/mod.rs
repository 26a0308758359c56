//! Figures for Prometheus.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds: from a dispatch within one process to an hour.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

/// The server's figures. Names and labels are part of the interface.
pub struct Metrics {
    registry: Registry,
    /// Answers by part of the server and class of status.
    pub http_requests: Family<HttpLabels, Counter>,
    /// Requests for a job that are held at the moment.
    pub held_requests: Gauge<i64, AtomicI64>,
    /// Connections of browsers and clients that follow a stream.
    pub streams: Gauge<i64, AtomicI64>,
    /// Tasks handed to runners.
    pub tasks_claimed: Counter,
    /// Tasks that ended, by result.
    pub tasks_finished: Family<ResultLabels, Counter>,
    /// From queued to claimed.
    pub queue_seconds: Histogram,
    /// Bytes of logs that were stored.
    pub log_bytes: Counter,
    /// Bytes of artifacts and caches that were stored.
    pub blob_bytes: Counter,
    /// Writes that showed a token which was no longer good.
    pub stale_writes: Counter,
    /// Pipelines that were made, by source.
    pub pipelines: Family<SourceLabels, Counter>,
    resident: Gauge<i64, AtomicI64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// `runner`, `api`, `ui`, `hooks`, `git`, `other`.
    pub part: &'static str,
    /// `2xx` …
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabels {
    /// `success`, `failure` (the job's own), `error` (ours), `canceled`.
    pub result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabels {
    pub source: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("tasuki"),
            http_requests: Family::default(),
            held_requests: Gauge::default(),
            streams: Gauge::default(),
            tasks_claimed: Counter::default(),
            tasks_finished: Family::default(),
            queue_seconds: Histogram::new(SECONDS),
            log_bytes: Counter::default(),
            blob_bytes: Counter::default(),
            stale_writes: Counter::default(),
            pipelines: Family::default(),
            resident: Gauge::default(),
        };
        let r = &mut all.registry;
        r.register(
            "http_requests",
            "Answers by part of the server and class of status",
            all.http_requests.clone(),
        );
        r.register(
            "held_job_requests",
            "Requests for a job that are held",
            all.held_requests.clone(),
        );
        r.register("streams", "Event streams that are open", all.streams.clone());
        r.register("tasks_claimed", "Tasks handed to runners", all.tasks_claimed.clone());
        r.register(
            "tasks_finished",
            "Tasks that ended, by result",
            all.tasks_finished.clone(),
        );
        r.register_with_unit(
            "queue_duration",
            "From queued to claimed",
            Unit::Seconds,
            all.queue_seconds.clone(),
        );
        r.register_with_unit("log", "Log bytes stored", Unit::Bytes, all.log_bytes.clone());
        r.register_with_unit(
            "blob",
            "Bytes of artifacts and caches stored",
            Unit::Bytes,
            all.blob_bytes.clone(),
        );
        r.register(
            "stale_writes",
            "Writes refused because their token was no longer good",
            all.stale_writes.clone(),
        );
        r.register("pipelines", "Pipelines made, by source", all.pipelines.clone());
        r.register_with_unit(
            "process_resident_memory",
            "Memory of the process",
            Unit::Bytes,
            all.resident.clone(),
        );
        all
    }

    /// Everything in the OpenMetrics text form.
    #[must_use]
    pub fn encode(&self) -> String {
        self.resident.set(resident_bytes().unwrap_or(0));
        let mut out = String::with_capacity(8 * 1024);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Memory of this process in bytes; `None` where the system does not tell (it does on Linux).
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_under_fixed_names() {
        let metrics = Metrics::new();
        metrics.tasks_claimed.inc();
        metrics
            .tasks_finished
            .get_or_create(&ResultLabels { result: "success" })
            .inc();
        metrics.queue_seconds.observe(0.003);
        let text = metrics.encode();
        for line in [
            "tasuki_tasks_claimed_total 1",
            "tasuki_tasks_finished_total{result=\"success\"} 1",
            "tasuki_queue_duration_seconds_bucket{le=\"0.005\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
