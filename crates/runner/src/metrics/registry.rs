//! Counting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tasuki_proto::client::{Call, Observer};
use tasuki_rt::Clock;
use tokio::sync::Notify;

use super::histogram::Histogram;
use crate::config::Config;
use crate::executor::{Executor, Held};
use crate::job::{Progress, Report};

/// Upper bounds in seconds.
const JOBS: &[f64] = &[
    30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 10800.0, 18000.0, 36000.0,
];
const QUEUE: &[f64] = &[1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0];
const CALLS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// All figures of a process. Clones of the `Arc` share them.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) state: Mutex<Figures>,
    idle: Notify,
}

#[derive(Debug)]
pub(super) struct Figures {
    pub(super) concurrent: u32,
    /// Short token, name, limit.
    pub(super) limits: Vec<(String, String, u32)>,
    /// Executors by short token and name.
    pub(super) holders: Holders,
    pub(super) running: BTreeMap<u64, Runs>,
    pub(super) jobs: u64,
    pub(super) failed: BTreeMap<&'static str, u64>,
    pub(super) durations: Histogram,
    /// Time in the server's queue, by what the server says of the project's other jobs.
    pub(super) queue: BTreeMap<String, Histogram>,
    /// Endpoint, class of the status, method.
    pub(super) calls: BTreeMap<(&'static str, &'static str, &'static str), Histogram>,
    /// Endpoint, status, method.
    pub(super) statuses: BTreeMap<(&'static str, i32, &'static str), u64>,
    pub(super) retries: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) configurations: u64,
    pub(super) broken_configurations: u64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            concurrent: 0,
            limits: Vec::new(),
            holders: Holders::default(),
            running: BTreeMap::new(),
            jobs: 0,
            failed: BTreeMap::new(),
            durations: Histogram::new(JOBS),
            queue: BTreeMap::new(),
            calls: BTreeMap::new(),
            statuses: BTreeMap::new(),
            retries: BTreeMap::new(),
            configurations: 0,
            broken_configurations: 0,
        }
    }
}

/// Whom to ask for room that is held for jobs to come, as long as they are there.
#[derive(Default)]
pub(super) struct Holders(BTreeMap<(String, String), Weak<dyn Executor>>);

impl std::fmt::Debug for Holders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Holders {
    /// Short token and name of the runners that hold room, with how much.
    pub(super) fn held(&self) -> Vec<(&str, &str, Held)> {
        let all = self.0.iter();
        all.filter_map(|((token, name), executor)| Some((token.as_str(), name.as_str(), executor.upgrade()?.held()?)))
            .collect()
    }
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) url: String,
    pub(super) began: Instant,
    pub(super) progress: Progress,
}

/// A job that counts as running until this is dropped.
#[derive(Debug)]
pub struct RunningJob {
    metrics: Arc<Metrics>,
    number: u64,
}

impl Metrics {
    /// The job at this address begins; `progress` tells where it is.
    #[must_use]
    pub fn job_begins(self: &Arc<Self>, url: &str, progress: Progress) -> RunningJob {
        let mut figures = self.lock();
        figures.jobs += 1;
        let number = figures.jobs;
        let runs = Runs {
            url: url.to_owned(),
            began: Clock::instant(),
            progress,
        };
        figures.running.insert(number, runs);
        RunningJob {
            metrics: Arc::clone(self),
            number,
        }
    }

    /// How long a job waited on the server, in seconds, and how many others of its project ran meanwhile (`"3"`, `"50+"`).
    pub fn queued(&self, seconds: f64, project_jobs: &str) {
        // A server's word, not ours: what is no number of jobs makes no line of its own.
        let known = project_jobs.len() <= 6 && project_jobs.chars().all(|c| c.is_ascii_alphanumeric() || c == '+');
        let label = if known { project_jobs } else { "" };
        let mut figures = self.lock();
        let histogram = figures.queue.entry(label.to_owned());
        histogram.or_insert_with(|| Histogram::new(QUEUE)).add(seconds.max(0.0));
    }

    /// A job has ended.
    pub fn job_ended(&self, report: &Report) {
        let mut figures = self.lock();
        if let Some(failure) = &report.failure {
            *figures.failed.entry(failure.reason.as_str()).or_default() += 1;
        }
        figures.durations.add(report.took.as_secs_f64());
    }

    /// Settings were taken over.
    pub fn configured(&self, config: &Config) {
        let mut figures = self.lock();
        figures.concurrent = config.concurrent;
        figures.configurations += 1;
        let limits = config
            .runners
            .iter()
            .map(|r| (r.short_token().to_owned(), r.name.clone(), r.limit));
        figures.limits = limits.collect();
    }

    /// A runner works with this executor from now on.
    pub fn works_with(&self, short_token: &str, name: &str, executor: &Arc<dyn Executor>) {
        let key = (short_token.to_owned(), name.to_owned());
        self.lock().holders.0.insert(key, Arc::downgrade(executor));
    }

    /// Settings could not be read.
    pub fn misconfigured(&self) {
        self.lock().broken_configurations += 1;
    }

    /// Jobs that run now.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.lock().running.len() as u64
    }

    /// Resolves when no job runs.
    pub async fn all_jobs_ended(&self) {
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            idle.await;
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Figures> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.metrics.lock().running.remove(&self.number);
        self.metrics.idle.notify_waiters();
    }
}

impl Observer for Metrics {
    fn call(&self, call: &Call) {
        let mut figures = self.lock();
        let (endpoint, method) = (call.endpoint, call.method);
        *figures.statuses.entry((endpoint, call.status, method)).or_default() += 1;
        let calls = figures.calls.entry((endpoint, class(call.status), method));
        calls
            .or_insert_with(|| Histogram::new(CALLS))
            .add(call.took.as_secs_f64());
    }

    fn retry(&self, endpoint: &'static str, method: &'static str) {
        *self.lock().retries.entry((endpoint, method)).or_default() += 1;
    }
}

fn class(status: i32) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "error",
    }
}
