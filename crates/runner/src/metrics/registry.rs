//! Counting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tasuki_proto::client::{Call, Observer};
use tasuki_rt::Clock;
use tokio::sync::Notify;

use crate::config::Config;
use crate::job::Report;

/// Upper bounds of the buckets of job durations, in seconds.
pub(super) const DURATIONS: [f64; 10] = [
    30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 10800.0, 18000.0, 36000.0,
];

/// All figures of a process. Clones of the `Arc` share them.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) state: Mutex<Figures>,
    idle: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) concurrent: u32,
    /// Short token, name, limit.
    pub(super) limits: Vec<(String, String, u32)>,
    /// Address and beginning of each running job.
    pub(super) running: BTreeMap<u64, (String, Instant)>,
    pub(super) jobs: u64,
    pub(super) failed: BTreeMap<&'static str, u64>,
    pub(super) duration_buckets: [u64; DURATIONS.len()],
    pub(super) duration_sum: f64,
    pub(super) duration_count: u64,
    /// Endpoint, status, method.
    pub(super) statuses: BTreeMap<(&'static str, i32, &'static str), u64>,
    pub(super) retries: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) configurations: u64,
}

/// A job that counts as running until this is dropped.
#[derive(Debug)]
pub struct RunningJob {
    metrics: Arc<Metrics>,
    number: u64,
}

impl Metrics {
    /// The job at this address begins.
    #[must_use]
    pub fn job_begins(self: &Arc<Self>, url: &str) -> RunningJob {
        let mut figures = self.lock();
        figures.jobs += 1;
        let number = figures.jobs;
        figures.running.insert(number, (url.to_owned(), Clock::instant()));
        RunningJob {
            metrics: Arc::clone(self),
            number,
        }
    }

    /// A job has ended.
    pub fn job_ended(&self, report: &Report) {
        let mut figures = self.lock();
        if let Some(failure) = &report.failure {
            *figures.failed.entry(failure.reason.as_str()).or_default() += 1;
        }
        let seconds = report.took.as_secs_f64();
        figures.duration_sum += seconds;
        figures.duration_count += 1;
        for (bucket, bound) in figures.duration_buckets.iter_mut().zip(DURATIONS) {
            *bucket += u64::from(seconds <= bound);
        }
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
        *self
            .lock()
            .statuses
            .entry((call.endpoint, call.status, call.method))
            .or_default() += 1;
    }

    fn retry(&self, endpoint: &'static str, method: &'static str) {
        *self.lock().retries.entry((endpoint, method)).or_default() += 1;
    }
}
