//! Events of tasks: what runners report, what the clock and people do to them.

use std::collections::BTreeMap;
use std::time::Duration;

use tasuki_model::id::TaskId;
use tasuki_model::reason::Fault;
use tasuki_model::state::task::{Effect, Event, Log, State};
use tasuki_model::state::{Outcome, Status, job};
use tasuki_model::time::Timestamp;
use tasuki_store::{State as Stored, logs, tasks};

use super::cache::Live;
use super::entry::{Entry, write};
use super::error::Error;
use super::op::Op;
use super::outputs;

/// A runner's final report.
#[derive(Debug, Clone)]
pub struct Report {
    pub outcome: Outcome,
    /// Whether every byte of the log that it announced is stored.
    pub log: Log,
    /// What the job gives to those that need it.
    pub outputs: BTreeMap<String, String>,
}

/// What became of a runner's final report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// It is the task's result.
    Accepted(Status),
    /// The result is noted; the log has gaps still. Ask the runner to send the report again.
    LogMissing {
        /// Since the first report.
        waited: Duration,
    },
    /// The same runner reported before (a doubled message): the first result stays.
    Already(Status),
}

impl Op<'_, '_> {
    /// Lets an event happen to a task and whatever follows from it, up to the graph. Gives the new status.
    pub(super) fn on_task(&mut self, id: TaskId, event: Event) -> Result<Status, Error> {
        let (live, effects) = self.change_task(id, event)?;
        let status = live.state.status();
        if effects.is_empty() {
            return Ok(status);
        }
        // From here on a refusal is not the task's: the task is saved, and must not stay so alone.
        let mut entry = self.take_before(live.pipeline, Some(id))?;
        self.follow(&mut entry, &live, effects).map_err(Error::in_the_middle)?;
        self.put(entry);
        Ok(status)
    }

    /// As [`Op::on_task`] for a pipeline that is taken already.
    pub(super) fn on_task_of(&mut self, entry: &mut Entry, id: TaskId, event: Event) -> Result<Status, Error> {
        let (live, effects) = self.change_task(id, event)?;
        let status = live.state.status();
        self.follow(entry, &live, effects).map_err(Error::in_the_middle)?;
        Ok(status)
    }

    /// Saves a task's transition by compare-and-swap on its row.
    fn change_task(&mut self, id: TaskId, event: Event) -> Result<(Live, Vec<Effect>), Error> {
        let mut live = self.task(id)?;
        // Once more with what the database has, where memory was behind.
        for attempt in 0..2 {
            if attempt > 0 {
                live = self.reload_task(id)?;
                // Whoever looks at it next in this operation is not to see what memory had.
                self.tasks.insert(id, live.clone());
            }
            let seen = self.last_contact(&live);
            let state = match seen {
                Some(seen) if live.state.lease().is_some() => live
                    .state
                    .clone()
                    .apply(Event::Touch, seen)
                    .map_or(live.state.clone(), |(state, _)| state),
                _ => live.state.clone(),
            };
            let renewed = state != live.state;
            let (next, effects) = match state.apply(event.clone(), self.now) {
                Ok(next) => next,
                Err(_) if attempt == 0 => continue,
                Err(refused) => return Err(refused.into()),
            };
            if next == live.state || (effects.is_empty() && renewed && same_kind(&next, &live.state)) {
                live.state = next;
                return Ok((live, effects));
            }
            if self.save_task(&live, &next, &effects)? {
                live.version += 1;
                live.state = next;
                if let State::Queued { .. } = live.state {
                    live.token_hash = None;
                    live.contact = None;
                }
                self.put_task(live.clone());
                return Ok((live, effects));
            }
        }
        Err(Error::Stale)
    }

    /// The newest sign of life, in memory or in the database.
    fn last_contact(&self, live: &Live) -> Option<Timestamp> {
        self.core.leases.seen(live.id).max(live.contact)
    }

    fn save_task(&mut self, live: &Live, next: &State, effects: &[Effect]) -> Result<bool, Error> {
        let json = write(next)?;
        if effects.contains(&Effect::Enqueue) {
            return Ok(tasks::unclaim(self.tx, live.id, live.version, &json)?);
        }
        let failure = next.outcome().and_then(Outcome::failure);
        let change = tasks::Change {
            state: Stored {
                tag: next.name(),
                json: &json,
            },
            started_ms: next.started(),
            finished_ms: match next {
                State::Finished { at, .. } => Some(*at),
                _ => None,
            },
            exit_code: failure.and_then(|failure| failure.exit_code).map(i64::from),
            failure_reason: failure.map(|failure| failure.reason.as_str()),
        };
        Ok(tasks::change(self.tx, live.id, live.version, &change)?)
    }

    fn follow(&mut self, entry: &mut Entry, live: &Live, effects: Vec<Effect>) -> Result<(), Error> {
        for effect in effects {
            match effect {
                // The claim itself makes tokens, and a finished row's token opens nothing.
                Effect::IssueToken | Effect::RevokeToken => {}
                Effect::Enqueue => {
                    self.round.ended.push(live.project);
                    self.round.queued.push(Self::waiting(live));
                    if let Some(node) = entry.node(live.job)
                        && matches!(entry.graph.state(node), job::State::Running { .. })
                        && !self.any_part_runs(entry, node)?
                    {
                        entry.graph.apply(node, job::Event::Requeue, self.now)?;
                    }
                    self.core.counters.count(&self.core.counters.requeued);
                }
                Effect::Dequeue => self.round.dequeued.push(live.id),
                Effect::Started => self.task_started(entry, live)?,
                Effect::SealLog => logs::finish(self.tx, live.id, self.now)?,
                Effect::Ended(outcome) => self.task_ended(entry, live, outcome)?,
            }
        }
        Ok(())
    }

    pub(super) fn task_started(&mut self, entry: &mut Entry, live: &Live) -> Result<(), Error> {
        self.core.counters.count(&self.core.counters.started);
        if let Some(node) = entry.node(live.job) {
            entry.graph.apply(node, job::Event::TaskStarted, self.now)?;
        }
        Ok(())
    }

    fn task_ended(&mut self, entry: &mut Entry, live: &Live, outcome: Outcome) -> Result<(), Error> {
        self.count_end(live, &outcome);
        let Some(node) = entry.node(live.job) else {
            return Ok(());
        };
        let parts = entry.parts.entry(node).or_default();
        parts.open.remove(&live.part);
        if let Outcome::Failed(failure) = &outcome
            && !matches!(entry.graph.state(node), job::State::Canceling { .. })
            && self.try_again(entry, node, live, failure)?
        {
            return Ok(());
        }
        let parts = entry.parts.entry(node).or_default();
        parts.end(outcome);
        if parts.open.is_empty() {
            let outcome = parts.worst.take().unwrap_or(Outcome::Canceled);
            entry.parts.remove(&node);
            self.end_job(entry, node, outcome)?;
        }
        Ok(())
    }

    fn count_end(&mut self, live: &Live, outcome: &Outcome) {
        // A task that was never handed out did not count as running.
        if live.token_hash.is_some() {
            self.round.ended.push(live.project);
        }
        let counters = &self.core.counters;
        counters.count(match outcome {
            Outcome::Success => &counters.succeeded,
            Outcome::Canceled | Outcome::Skipped => &counters.canceled,
            Outcome::Failed(failure) => match failure.fault() {
                Fault::User => &counters.failed_user,
                Fault::System => &counters.failed_system,
            },
        });
    }

    /// A runner's final report, by a token that may have been used up by the same report before.
    pub(super) fn report(&mut self, id: TaskId, hash: &str, last: Report) -> Result<Reported, Error> {
        let Report { outcome, log, outputs } = last;
        let live = self.task(id)?;
        if live.token_hash.as_deref() != Some(hash) {
            return Err(Error::NotYours(Some(live.state.status())));
        }
        if live.state.outcome().is_some() {
            return Ok(Reported::Already(live.state.status()));
        }
        // Before the graph goes on: conditions of later jobs read them.
        if !outputs.is_empty() || live.attempt > 1 {
            outputs::note(self.tx, live.job, &outputs)?;
        }
        match self.on_task(id, Event::Report { outcome, log }) {
            Ok(_) => {
                let state = &self.task(id)?.state;
                Ok(match state {
                    State::Finishing { since, .. } => Reported::LogMissing {
                        waited: self.now.since(*since),
                    },
                    state => Reported::Accepted(state.status()),
                })
            }
            // Another server has taken the same report meanwhile.
            Err(Error::Refused(_)) => {
                let live = self.reload_task(id)?;
                match (live.state.outcome(), live.token_hash.as_deref() == Some(hash)) {
                    (Some(_), true) => Ok(Reported::Already(live.state.status())),
                    _ => Err(Error::NotYours(Some(live.state.status()))),
                }
            }
            Err(error) => Err(error),
        }
    }
}

fn same_kind(a: &State, b: &State) -> bool {
    a.name() == b.name()
}
