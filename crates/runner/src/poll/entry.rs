//! One `[[runners]]` entry in operation.

use std::sync::Arc;
use std::time::Duration;

use tasuki_proto::client::{CallError, Polled, RetryPolicy};
use tasuki_proto::gitlab::{JobRequest, JobResponse};
use tasuki_rt::{Backoff, CancellationToken, Clock};
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use super::adaptive::Adaptive;
use super::gate::{Gate, Permit};
use super::health::Health;
use super::slots::{Slots, TakenSlot};
use crate::job::{self, Host, Progress, Shutdown};
use crate::metrics::Metrics;
use crate::trace::chain;

/// Places of one registration. They stay the same when its settings are read again.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) limit: Gate,
    pub(super) slots: Slots,
}

/// What the loops of one entry share.
pub(super) struct Entry {
    pub(super) host: Host,
    pub(super) places: Places,
    /// Places of the whole process.
    pub(super) concurrent: Gate,
    pub(super) check_pause: Duration,
    pub(super) shutdown: Shutdown,
    /// The entry was removed or changed: no more requests; its jobs go on.
    pub(super) retired: CancellationToken,
    pub(super) metrics: Arc<Metrics>,
    pub(super) quota: Arc<Quota>,
    pub(super) health: Health,
    pub(super) adaptive: Adaptive,
    pub(super) widened: Notify,
}

/// How many jobs may be taken in all (`run-single --max-builds`).
#[derive(Debug, Default)]
pub(super) struct Quota {
    pub(super) most: Option<u32>,
    pub(super) taken: std::sync::atomic::AtomicU32,
    pub(super) first: Notify,
}

impl Quota {
    /// Counts a job; says whether it was the last.
    fn count(&self) -> bool {
        let taken = self.taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        self.first.notify_one();
        self.most.is_some_and(|most| taken >= most)
    }
}

/// What follows a request.
enum Next {
    /// Ask again at once.
    Again,
    Pause(Duration),
}

/// An answer within this time was not held by the server.
const NOT_HELD: Duration = Duration::from_millis(50);

impl Entry {
    /// Starts the loops: as many as requests may be under way.
    pub(super) fn start(self: &Arc<Self>) {
        for index in 0..self.host.config.requests() {
            let entry = Arc::clone(self);
            self.host.tasks.spawn("poll", async move { entry.poll(index).await });
        }
    }

    async fn poll(self: Arc<Self>, index: u32) {
        let mut backoff = Backoff::new(Duration::from_millis(100), self.check_pause);
        loop {
            let asked = tokio::select! {
                biased;
                () = self.over() => return,
                asked = self.ask(index, &mut backoff) => asked,
            };
            if let Next::Pause(pause) = asked {
                tokio::select! {
                    () = self.over() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    async fn over(&self) {
        tokio::select! {
            () = self.shutdown.draining() => {}
            () = self.retired.cancelled() => {}
        }
    }

    /// Takes places, asks once, starts the job.
    async fn ask(self: &Arc<Self>, index: u32, backoff: &mut Backoff) -> Next {
        loop {
            // Made before the window is looked at, so that no widening in between is missed.
            let widened = self.widened.notified();
            if index < self.adaptive.window() {
                break;
            }
            widened.await;
        }
        if let Some(rest) = self.health.resting() {
            return Next::Pause(rest);
        }
        let limit = self.places.limit.acquire().await;
        let concurrent = self.concurrent.acquire().await;
        let request = JobRequest {
            info: self.host.info.clone(),
            token: self.host.config.token.clone(),
            system_id: self.host.system_id.clone(),
            last_update: String::new(),
            session: None,
        };
        let began = Clock::instant();
        let requested = match self.host.client.request_job(&request).await {
            Ok(requested) => requested,
            Err(error) => return self.failed(&error, backoff),
        };
        backoff.reset();
        self.health.good();
        if requested.retried {
            self.adaptive.retried();
        }
        match requested.polled {
            Polled::Job(job) => {
                self.adaptive.received();
                self.widened.notify_waiters();
                self.begin(*job, (limit, concurrent));
                if self.host.config.strict_check_interval {
                    Next::Pause(self.check_pause)
                } else {
                    Next::Again
                }
            }
            Polled::Nothing => {
                self.adaptive.empty();
                match (requested.tasuki, began.elapsed() < NOT_HELD) {
                    (true, false) => Next::Again,
                    // A paused runner, or a server about to stop.
                    (true, true) => Next::Pause(Duration::from_millis(250).min(self.check_pause)),
                    (false, _) => Next::Pause(self.check_pause),
                }
            }
            Polled::Conflict => {
                debug!(runner = %self.name(), "another runner was faster");
                Next::Pause(if requested.tasuki {
                    Duration::ZERO
                } else {
                    self.check_pause
                })
            }
        }
    }

    fn failed(&self, error: &CallError, backoff: &mut Backoff) -> Next {
        if error.is_unhealthy() {
            error!(runner = %self.name(), error = %chain(error), "the server refuses this runner");
            if self.health.refused() {
                let rest = self.host.config.unhealthy_pause();
                error!(runner = %self.name(), rest_s = rest.as_secs(), "the runner rests: check its token (`runner verify`)");
            }
            return Next::Pause(self.check_pause);
        }
        self.health.good();
        if let CallError::Status { status, .. } = error
            && RetryPolicy::retries(*status)
        {
            self.adaptive.retried();
        }
        if backoff.tries() == 0 {
            warn!(runner = %self.name(), error = %chain(error), "the request for work failed");
        }
        Next::Pause(backoff.pause())
    }

    fn begin(self: &Arc<Self>, job: JobResponse, permits: (Permit, Permit)) {
        if self.quota.count() {
            self.shutdown.drain();
        }
        let slot = self.places.slots.take(job.job_info.project_id);
        let entry = Arc::clone(self);
        self.host
            .tasks
            .spawn("job", async move { entry.job(job, slot, permits).await });
    }

    async fn job(self: Arc<Self>, job: JobResponse, slot: TakenSlot, permits: (Permit, Permit)) {
        let id = job.id;
        info!(job.id = id, runner = %self.name(), "job received");
        let url = job.variables.iter().rev().find(|variable| variable.key == "CI_JOB_URL");
        let progress = Progress::default();
        let running = self
            .metrics
            .job_begins(url.map_or("", |variable| &variable.value), progress.clone());
        let info = &job.job_info;
        self.metrics.queued(
            info.time_in_queue_seconds,
            &info.project_jobs_running_on_instance_runners_count,
        );
        let host = Host {
            progress,
            ..self.host.clone()
        };
        let report = job::run(host, job, slot.slot(), self.shutdown.clone()).await;
        self.metrics.job_ended(&report);
        let reason = report.failure.as_ref().map(|failure| failure.reason.as_str());
        info!(
            job.id = id,
            state = report.state.map(tasuki_proto::gitlab::JobState::as_str),
            reason,
            duration_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            "job ended"
        );
        drop((running, slot, permits));
    }

    fn name(&self) -> String {
        format!("{} {}", self.host.config.name, self.host.config.short_token())
    }
}
