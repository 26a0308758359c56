//! What the clock does: leases, delays, tasks that are stuck.

use std::time::Duration;

use tasuki_model::id::{JobId, TaskId};
use tasuki_model::labels::{Offer, check};
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::{Event, State};
use tasuki_model::state::{Status, job};
use tasuki_model::time::Timestamp;
use tasuki_store::{DbUrl, Tx, environments, jobs, runners, tasks};

use super::cache::{Live, lock};
use super::entry::{JobMeta, parse};
use super::error::Error;
use super::facade::Scheduler;
use super::op::{Core, Op};
use super::start::RETRY_AFTER;
use super::why::offer_of;

/// Jobs that are read at once to be woken.
const BATCH: u32 = 500;

impl Op<'_, '_> {
    /// A lease seems to have run out. If its runner has been heard of elsewhere it goes on.
    pub(super) fn lease_ran_out(&mut self, id: TaskId) -> Result<(), Error> {
        // Another server may have heard of the runner: the database has the last word.
        let live = match self.reload_task(id) {
            Ok(live) => live,
            Err(Error::NotFound { .. }) => {
                self.round.leases.push((id, None));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(lease) = live.state.lease() else {
            self.round.leases.push((id, None));
            return Ok(());
        };
        let length = Duration::from_millis(lease.length_ms);
        let heard = self.core.leases.seen(id).max(live.contact).map(|at| at.after(length));
        let expires = heard.map_or(lease.expires, |at| at.max(lease.expires));
        if expires > self.now {
            self.round.leases.push((id, Some((expires, length))));
            return Ok(());
        }
        self.tasks.insert(id, live);
        match self.on_task(id, Event::Expire) {
            Ok(_) => {
                self.core.counters.count(&self.core.counters.leases_lost);
                Ok(())
            }
            // It ended a moment ago.
            Err(Error::Refused(_)) => {
                self.round.leases.push((id, None));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Starts a delayed job whose time has come, or lets an approval lapse.
    pub(super) fn wake(&mut self, id: JobId) -> Result<(), Error> {
        self.with_job(id, |op, entry, node| match entry.graph.state(node) {
            job::State::Scheduled { run_at, .. } if *run_at <= op.now => Ok(entry.graph.start(node, op.now)?),
            job::State::Manual {
                lapses: Some(lapses), ..
            } if *lapses <= op.now => op.cancel_job(entry, node),
            _ => Ok(()),
        })
    }

    /// Takes over a task that another server handed out. Gives its status.
    pub(super) fn adopt(&mut self, id: TaskId, token_hash: &str) -> Result<Status, Error> {
        let live = self.owned(id, token_hash)?;
        if let Some(lease) = live.state.lease() {
            let length = Duration::from_millis(lease.length_ms);
            self.round.leases.push((id, Some((self.now.after(length), length))));
        }
        tasks::touch_all(self.tx, &[(id, self.now)])?;
        let status = live.state.status();
        self.tasks.insert(id, live);
        Ok(status)
    }

    /// The task, if this token opens it.
    pub(super) fn owned(&mut self, id: TaskId, token_hash: &str) -> Result<Live, Error> {
        let mut live = self.task(id).map_err(|error| match error {
            Error::NotFound { .. } => Error::NotYours(None),
            error => error,
        })?;
        if live.token_hash.as_deref() != Some(token_hash) {
            live = self.reload_task(id)?;
        }
        if live.token_hash.as_deref() == Some(token_hash) && live.state.lease().is_some() {
            return Ok(live);
        }
        Err(Error::NotYours(Some(live.state.status())))
    }

    /// Ends a task that is stuck, if it still is.
    fn end_stuck(&mut self, id: TaskId, reason: FailureReason) -> Result<(), Error> {
        match self.on_task(id, Event::Drop { reason }) {
            Ok(_) | Err(Error::Refused(_) | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Scheduler {
    /// Wakes every job and stops every environment whose time has come, and notes when to look again.
    pub(super) async fn wake_due(&self) -> Result<(), Error> {
        let now = self.core.now();
        let mut failed = false;
        // What commits from here on want to be woken for is added to nothing, and kept below.
        *lock(&self.core.due) = None;
        loop {
            let due = self.store.read(move |tx| jobs::due(tx, now, BATCH)).await?;
            let whole = due.len() < BATCH as usize || failed;
            for row in due {
                let id = row.id;
                if let Err(error) = self.write(move |op| op.wake(id)).await {
                    // One bad row must not keep the others from being seen to.
                    failed = true;
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(job.id = %id, %error, source, "a job whose time has come could not be started");
                }
            }
            if whole {
                break;
            }
        }
        failed |= !self.expire_environments(now).await?;
        let next = self.store.read(next_due).await?;
        let next = if failed {
            next.map(|at| at.max(now.after(RETRY_AFTER)))
        } else {
            next
        };
        self.core.due_at(next);
        Ok(())
    }

    /// Stops every environment whose time is up. `false`: one of them could not be.
    async fn expire_environments(&self, now: Timestamp) -> Result<bool, Error> {
        loop {
            let due = self.store.read(move |tx| environments::due(tx, now, BATCH)).await?;
            let mut failed = false;
            for row in &due {
                let id = row.id;
                if let Err(error) = self.write(move |op| op.expire_environment(id)).await {
                    failed = true;
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(environment.id = id, %error, source, "an environment whose time is up could not be stopped");
                }
            }
            if failed || due.len() < BATCH as usize {
                return Ok(!failed);
            }
        }
    }

    /// Writes signs of life that are only in memory.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn flush_contacts(&self) -> Result<(), Error> {
        let seen = self.core.leases.take_seen();
        if seen.is_empty() {
            return Ok(());
        }
        Ok(self.store.write(move |tx| tasks::touch_all(tx, &seen)).await?)
    }

    /// Ends tasks that wait or run for longer than is allowed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self) -> Result<(), Error> {
        if let DbUrl::Postgres(_) = self.store.url() {
            // Hints of other servers may be lost: what they said is in the database.
            self.resync().await?;
        }
        let (queued, running, offers) = self
            .store
            .read_as(|tx| {
                let mut offers = Vec::new();
                for runner in runners::all(tx)? {
                    offers.push(offer_of(tx, &runner)?);
                }
                Ok::<_, Error>((tasks::queued(tx)?, tasks::running(tx)?, offers))
            })
            .await?;
        let mut stuck = self.core.waits_too_long(queued, &offers)?;
        stuck.extend(self.runs_too_long(running).await?);
        for (id, reason) in stuck {
            self.write(move |op| op.end_stuck(id, reason)).await?;
        }
        Ok(())
    }

    /// Tasks whose runner neither ends nor stops them in time.
    async fn runs_too_long(&self, rows: Vec<tasks::Task>) -> Result<Vec<(TaskId, FailureReason)>, Error> {
        let now = self.core.now();
        let limits = &self.core.settings;
        let mut stuck = Vec::new();
        for row in rows {
            let (id, job) = (row.id, row.job_id);
            match Live::read(row)?.state {
                State::Canceling { since, .. } if now.since(since) >= limits.canceling_limit => {
                    stuck.push((id, FailureReason::StuckOrTimeoutFailure));
                }
                // The runner keeps the job's limit; this is for one that does not.
                State::Running { started, .. } if now.since(started) > limits.timeout_grace => {
                    let limit = self.store.read_as(move |tx| limit_of(tx, job)).await?;
                    if limit.is_some_and(|limit| now.since(started) > limit + limits.timeout_grace) {
                        stuck.push((id, FailureReason::JobExecutionTimeout));
                    }
                }
                _ => {}
            }
        }
        Ok(stuck)
    }
}

impl Core {
    /// Tasks that no runner took in time.
    fn waits_too_long(&self, rows: Vec<tasks::Task>, offers: &[Offer]) -> Result<Vec<(TaskId, FailureReason)>, Error> {
        let now = self.now();
        let limits = &self.settings;
        let mut stuck = Vec::new();
        for row in rows {
            let waited = now.since(row.queued_ms);
            if waited < limits.unmatched_limit {
                continue;
            }
            let live = Live::read(row)?;
            let matched = offers
                .iter()
                .any(|offer| check(&live.demand, live.project, offer).is_ok());
            if !matched {
                stuck.push((live.id, FailureReason::NoMatchingRunner));
            } else if waited >= limits.pending_limit {
                stuck.push((live.id, FailureReason::StuckOrTimeoutFailure));
            }
        }
        Ok(stuck)
    }
}

/// When the clock has next to do something with a job or an environment.
pub(super) fn next_due(tx: &mut Tx<'_>) -> tasuki_store::Result<Option<Timestamp>> {
    let (job, environment) = (jobs::next_due(tx)?, environments::next_due(tx)?);
    Ok(job.into_iter().chain(environment).min())
}

/// The job's own limit, where its configuration sets one.
fn limit_of(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Duration>, Error> {
    let Some(row) = jobs::get(tx, id)? else { return Ok(None) };
    let meta: JobMeta = parse("graph of job", id.0, &row.graph_json)?;
    Ok(meta.facts.timeout_s.map(Duration::from_secs))
}
