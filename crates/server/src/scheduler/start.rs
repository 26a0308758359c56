//! What runs beside the calls: reading everything at the start, and the clock.

use std::collections::HashMap;
use std::time::Duration;

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;
use tasuki_store::{Notification, jobs, tasks};

use super::cache::{Live, lock};
use super::error::Error;
use super::facade::Scheduler;
use super::op::Op;

/// The longest the timer sleeps: a clock that jumps is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How often signs of life are written, while there are any.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How often stuck tasks are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

impl Scheduler {
    /// Makes queue and leases what the database says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resync(&self) -> Result<(), Error> {
        let (queued, running, due) = self
            .store
            .read(|tx| Ok((tasks::queued(tx)?, tasks::running(tx)?, jobs::next_due(tx)?)))
            .await?;
        self.core.adopt_all(queued, running)?;
        *lock(&self.core.due) = due;
        self.core.bell.notify_one();
        Ok(())
    }

    pub(super) fn start_loops(&self) {
        let own = self.clone();
        self.tasks.spawn("scheduler timer", async move { own.timer().await });
        let own = self.clone();
        self.tasks.spawn("scheduler hints", async move { own.hints().await });
    }

    /// Wakes when something is due, and does it.
    async fn timer(&self) {
        let token = self.tasks.token();
        let mut swept = self.core.now();
        let mut flushed = self.core.now();
        loop {
            let now = self.core.now();
            let mut next = now.after(LONGEST_SLEEP).min(swept.after(SWEEP_EVERY));
            if let Some(at) = self.core.next_due() {
                next = next.min(at);
            }
            if self.core.leases.has_seen() {
                next = next.min(flushed.after(FLUSH_EVERY));
            }
            tokio::select! {
                () = tokio::time::sleep(next.since(now)) => {}
                () = self.core.bell.notified() => {}
                () = token.cancelled() => {
                    // The last signs of life, so that the next server knows them.
                    let _ = self.flush_contacts().await;
                    return;
                }
            }
            let now = self.core.now();
            if now.since(flushed) >= FLUSH_EVERY {
                flushed = now;
                report("writing signs of life", self.flush_contacts().await);
            }
            report("moving on what is due", self.tick().await);
            if now.since(swept) >= SWEEP_EVERY || now < swept {
                swept = now;
                report("looking for stuck tasks", self.sweep().await);
            }
        }
    }

    /// Does everything that is due now: leases that have run out, delays that have ended.
    ///
    /// # Errors
    /// When the database fails; the next tick tries again.
    pub async fn tick(&self) -> Result<(), Error> {
        let now = self.core.now();
        for id in self.core.leases.expired(now) {
            self.write(move |op| op.lease_ran_out(id)).await?;
        }
        let due = *lock(&self.core.due);
        if due.is_some_and(|at| at <= now) {
            self.write(|op| op.wake_due()).await?;
        }
        Ok(())
    }

    /// Hints of other servers on the same database.
    async fn hints(&self) {
        let token = self.tasks.token();
        let mut hints = self.store.notifications();
        loop {
            let hint = tokio::select! {
                hint = hints.next() => hint,
                () = token.cancelled() => return,
            };
            let Some(hint) = hint else { return };
            let others = hint.topic == TOPIC && !hint.own;
            if others || hint.topic == Notification::RESYNC {
                report("reading the queue again", self.resync().await);
            }
        }
    }
}

/// Topic of the hint that tasks were queued.
pub(super) const TOPIC: &str = "tasks";

fn report(what: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, source, "{what} failed; it is tried again");
    }
}

impl super::op::Core {
    /// Takes over tasks as the database has them: those that wait into the queue, those that run with a
    /// whole new lease.
    pub(super) fn adopt_all(
        self: &std::sync::Arc<Self>,
        queued: Vec<tasks::Task>,
        running: Vec<tasks::Task>,
    ) -> Result<(), Error> {
        let mut counts: HashMap<ProjectId, u32> = HashMap::new();
        let now = self.now();
        for row in running {
            *counts.entry(row.project_id).or_default() += 1;
            let live = Live::read(row)?;
            if let Some(lease) = live.state.lease() {
                let length = Duration::from_millis(lease.length_ms);
                if !self.leases.has(live.id) {
                    self.leases.set(live.id, lease.expires.max(now.after(length)), length);
                    self.leases.touch(live.id, now);
                }
            }
            lock(&self.cache).put_newer_task(live);
        }
        let mut waiting = Vec::with_capacity(queued.len());
        for row in queued {
            let live = Live::read(row)?;
            waiting.push(Op::waiting(&live));
            lock(&self.cache).put_newer_task(live);
        }
        self.dispatch.reset(waiting, counts);
        Ok(())
    }

    /// When the clock has next to do something.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let jobs = *lock(&self.due);
        match (jobs, self.leases.next()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
