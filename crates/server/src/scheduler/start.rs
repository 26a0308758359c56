//! What runs beside the calls: reading everything at the start, and the clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::{ProjectId, TaskId};
use tasuki_model::time::Timestamp;
use tasuki_store::{Notification, tasks};

use super::cache::{Live, lock};
use super::error::Error;
use super::facade::Scheduler;
use super::op::Op;
use super::sweep::next_due;

/// The longest the timer sleeps: a clock that jumps is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How often signs of life are written, while there are any.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// When something is tried again that failed.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How often stuck tasks are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

impl Scheduler {
    /// Adds to queue and leases what the database has and they have not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resync(&self) -> Result<(), Error> {
        let core = Arc::clone(&self.core);
        // Among the writes, so that on SQLite nothing is committed between what is read and what follows of it.
        self.store
            .write_as(move |tx| {
                let (queued, running, due) = (tasks::queued(tx)?, tasks::running(tx)?, next_due(tx)?);
                let found = Found::read(queued, running)?;
                tx.after_commit(move || {
                    core.adopt_all(found);
                    core.due_at(due);
                    core.bell.notify_one();
                });
                Ok(())
            })
            .await
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

    /// Does everything that is due now: leases that have run out, delays that have ended, environments whose time is up.
    ///
    /// # Errors
    /// When the database fails; the next tick tries again.
    pub async fn tick(&self) -> Result<(), Error> {
        let now = self.core.now();
        for id in self.core.leases.expired(now) {
            if let Err(error) = self.write(move |op| op.lease_ran_out(id)).await {
                // One bad row must not keep the others from being seen to.
                self.core.leases.set(id, now.after(RETRY_AFTER), RETRY_AFTER);
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(task.id = %id, %error, source, "a lease that ran out could not be ended");
            }
        }
        let due = *lock(&self.core.due);
        if due.is_some_and(|at| at <= now) {
            self.wake_due().await?;
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
            if hint.topic == Notification::RESYNC {
                report("reading the queue again", self.resync().await);
            } else if hint.topic == TOPIC && !hint.own {
                report("hearing of another server's tasks", self.heard(&hint.payload).await);
            }
        }
    }

    /// Follows what another server did.
    async fn heard(&self, payload: &str) -> Result<(), Error> {
        let hint = Hint::parse(payload);
        if hint.everything {
            return self.resync().await;
        }
        self.core.dispatch.dequeue(hint.gone);
        self.core.dispatch.started(hint.started);
        self.core.dispatch.ended(hint.ended);
        if hint.queued.is_empty() {
            return Ok(());
        }
        let rows = self
            .store
            .read(move |tx| {
                let rows = hint
                    .queued
                    .into_iter()
                    .map(|id| tasks::get(tx, id))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(rows
                    .into_iter()
                    .flatten()
                    .filter(|row| row.state == tasks::QUEUED)
                    .collect::<Vec<_>>())
            })
            .await?;
        let waiting = rows
            .into_iter()
            .map(|row| Live::read(row).map(|live| Op::waiting(&live)))
            .collect::<Result<Vec<_>, _>>()?;
        self.core.dispatch.enqueue(waiting);
        Ok(())
    }
}

/// Topic of hints about tasks.
pub(super) const TOPIC: &str = "tasks";
/// Bytes that a hint may have (PostgreSQL: below 8,000).
const LONGEST_HINT: usize = 7_000;

/// What one server tells the others about tasks: `q1` was queued, `g1` is not queued any more, and of project 1
/// a task has started (`s1`) or ended (`e1`); `*` is too much to tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) queued: Vec<TaskId>,
    pub(super) gone: Vec<TaskId>,
    pub(super) started: Vec<ProjectId>,
    pub(super) ended: Vec<ProjectId>,
    pub(super) everything: bool,
}

impl Hint {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let tasks = [('q', &self.queued), ('g', &self.gone)];
        let projects = [('s', &self.started), ('e', &self.ended)];
        let ids = tasks
            .into_iter()
            .flat_map(|(verb, ids)| ids.iter().map(move |id| (verb, id.0)));
        let more = projects
            .into_iter()
            .flat_map(|(verb, ids)| ids.iter().map(move |id| (verb, id.0)));
        for (verb, id) in ids.chain(more) {
            if text.len() > LONGEST_HINT {
                return "*".to_owned();
            }
            // Writing to a string cannot fail.
            let _ = write!(text, "{verb}{id} ");
        }
        text
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut hint = Self::default();
        for word in text.split_whitespace() {
            let mut letters = word.chars();
            let verb = letters.next();
            match (verb, letters.as_str().parse()) {
                (Some('q'), Ok(id)) => hint.queued.push(TaskId(id)),
                (Some('g'), Ok(id)) => hint.gone.push(TaskId(id)),
                (Some('s'), Ok(id)) => hint.started.push(ProjectId(id)),
                (Some('e'), Ok(id)) => hint.ended.push(ProjectId(id)),
                // Of a newer server, or too much to tell: read.
                _ => hint.everything = true,
            }
        }
        hint
    }
}

/// Tasks as they were read.
pub(super) struct Found {
    queued: Vec<Live>,
    running: Vec<Live>,
}

impl Found {
    fn read(queued: Vec<tasks::Task>, running: Vec<tasks::Task>) -> Result<Self, Error> {
        let all = |rows: Vec<tasks::Task>| rows.into_iter().map(Live::read).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            queued: all(queued)?,
            running: all(running)?,
        })
    }
}

fn report(what: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, source, "{what} failed; it is tried again");
    }
}

impl super::op::Core {
    /// Takes over tasks as the database has them: those that wait into the queue, those that run with a
    /// whole new lease, where they are not known.
    fn adopt_all(self: &Arc<Self>, found: Found) {
        let mut counts: HashMap<ProjectId, u32> = HashMap::new();
        let now = self.now();
        for live in found.running {
            *counts.entry(live.project).or_default() += 1;
            if let Some(lease) = live.state.lease()
                && !self.leases.has(live.id)
            {
                let length = Duration::from_millis(lease.length_ms);
                self.leases.set(live.id, lease.expires.max(now.after(length)), length);
            }
            lock(&self.cache).put_newer_task(live);
        }
        let waiting: Vec<_> = found.queued.iter().map(Op::waiting).collect();
        for live in found.queued {
            lock(&self.cache).put_newer_task(live);
        }
        self.dispatch.reset(waiting, counts);
    }

    /// The clock has something to do then.
    pub(super) fn due_at(&self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let mut due = lock(&self.due);
        *due = Some(due.map_or(at, |known| known.min(at)));
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
