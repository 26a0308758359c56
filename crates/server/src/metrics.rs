//! Figures for Prometheus.
//!
//! What the scheduler counts itself is read from it when figures are asked for; everything else is counted where it
//! happens. Names and labels are part of the interface.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::scheduler::Scheduler;

/// Upper bounds in seconds: from a dispatch within one process to an hour.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

type Level = Gauge<i64, AtomicI64>;

/// The server's figures.
pub struct Metrics {
    registry: Registry,
    /// Answers by part of the server and class of status.
    pub http_requests: Family<HttpLabels, Counter>,
    /// Requests for a job that are held at the moment.
    pub held_requests: Level,
    /// Connections of browsers and clients that follow a stream.
    pub streams: Level,
    /// From queued to claimed.
    pub queue_seconds: Histogram,
    /// Bytes of logs that were stored.
    pub log_bytes: Counter,
    /// Bytes of artifacts and caches that were stored.
    pub blob_bytes: Counter,
    /// Writes that showed a token which was no longer good.
    pub stale_writes: Counter,
    scheduler: Mirrored,
    resident: Level,
}

/// What the scheduler counts.
#[derive(Default)]
struct Mirrored {
    claimed: Counter,
    started: Counter,
    finished: Family<ResultLabels, Counter>,
    requeued: Counter,
    leases_lost: Counter,
    pipelines: Counter,
    tasks: Family<StateLabels, Level>,
    runners_waiting: Level,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// `runner`, `api`, `ui`, `hooks`, `git`, `health`.
    pub part: &'static str,
    /// `2xx` …
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    /// `success`, `failure` (the job's own), `error` (ours), `canceled`.
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    /// `queued`, `running`.
    state: &'static str,
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
            queue_seconds: Histogram::new(SECONDS),
            log_bytes: Counter::default(),
            blob_bytes: Counter::default(),
            stale_writes: Counter::default(),
            scheduler: Mirrored::default(),
            resident: Gauge::default(),
        };
        let r = &mut all.registry;
        let about = "Answers by part of the server and class of status";
        r.register("http_requests", about, all.http_requests.clone());
        let about = "Requests for a job that are held";
        r.register("held_job_requests", about, all.held_requests.clone());
        r.register("streams", "Event streams that are open", all.streams.clone());
        let about = "From queued to claimed";
        r.register_with_unit("queue_duration", about, Unit::Seconds, all.queue_seconds.clone());
        r.register_with_unit("log", "Log bytes stored", Unit::Bytes, all.log_bytes.clone());
        let about = "Bytes of artifacts and caches stored";
        r.register_with_unit("blob", about, Unit::Bytes, all.blob_bytes.clone());
        let about = "Writes refused because their token was no longer good";
        r.register("stale_writes", about, all.stale_writes.clone());
        let about = "Memory of the process";
        r.register_with_unit("process_resident_memory", about, Unit::Bytes, all.resident.clone());
        all.scheduler.register(r);
        all
    }

    /// Everything in the OpenMetrics text form.
    #[must_use]
    pub fn encode(&self, scheduler: &Scheduler) -> String {
        self.scheduler.read(scheduler);
        self.resident.set(resident_bytes().unwrap_or(0));
        let mut out = String::with_capacity(8 * 1024);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

impl Mirrored {
    fn register(&self, r: &mut Registry) {
        r.register("tasks_claimed", "Tasks handed to runners", self.claimed.clone());
        r.register("tasks_started", "Tasks that runners took up", self.started.clone());
        r.register("tasks_finished", "Tasks that ended, by result", self.finished.clone());
        r.register(
            "tasks_requeued",
            "Tasks that went back to the queue",
            self.requeued.clone(),
        );
        r.register(
            "leases_lost",
            "Runners that fell silent over a task",
            self.leases_lost.clone(),
        );
        r.register("pipelines", "Pipelines that were made", self.pipelines.clone());
        r.register("tasks", "Tasks that wait or run, by state", self.tasks.clone());
        r.register(
            "runners_waiting",
            "Runners that wait for a task",
            self.runners_waiting.clone(),
        );
    }

    fn read(&self, scheduler: &Scheduler) {
        let totals = scheduler.counters();
        let copy = |from: &std::sync::atomic::AtomicU64, to: &Counter| {
            to.inner().store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        copy(&totals.claimed, &self.claimed);
        copy(&totals.started, &self.started);
        copy(&totals.requeued, &self.requeued);
        copy(&totals.leases_lost, &self.leases_lost);
        copy(&totals.pipelines, &self.pipelines);
        let by_result = [
            ("success", &totals.succeeded),
            ("failure", &totals.failed_user),
            ("error", &totals.failed_system),
            ("canceled", &totals.canceled),
        ];
        for (result, count) in by_result {
            copy(count, &self.finished.get_or_create(&ResultLabels { result }));
        }
        let (queued, waiting, running) = scheduler.lengths();
        for (state, count) in [("queued", queued), ("running", running)] {
            let level = i64::try_from(count).unwrap_or(i64::MAX);
            self.tasks.get_or_create(&StateLabels { state }).set(level);
        }
        self.runners_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

/// Memory of this process in bytes; `None` where the system does not tell (it does on Linux).
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}
