//! Handing a task to a runner.

use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::{JobId, PipelineId, ProjectId, RunnerId, TaskId};
use tasuki_model::labels::Offer;
use tasuki_model::secret::Secret;
use tasuki_model::state::task::{Commit, Effect, Event, Lease};
use tasuki_model::time::Timestamp;
use tasuki_store::{State as Stored, tasks};

use super::entry::write;
use super::error::Error;
use super::op::Op;
use crate::identity::token;

/// Who asks for a task: made from the runner's registration and what its process announced.
#[derive(Debug, Clone)]
pub struct RunnerIdentity {
    pub runner: RunnerId,
    /// `<legacy>` where the process gave none.
    pub system_id: String,
    /// What it may take; shared by all runners that offer the same.
    pub offer: Arc<Offer>,
    /// It acknowledges a task before it counts as running (`two_phase_job_commit`).
    pub commit: Commit,
    /// It can be told to cancel and clean up (`cancel_gracefully`).
    pub cancels_gracefully: bool,
    /// One of ours: it keeps contact every 3 s, so its lease is short.
    pub keeps_contact: bool,
}

/// A task that a runner got, as far as the scheduler knows it.
#[derive(Debug, Clone)]
pub struct ClaimedTask {
    pub id: TaskId,
    pub job: JobId,
    pub pipeline: PipelineId,
    pub project: ProjectId,
    /// Which of the job's parallel parts, from 0.
    pub parallel_index: i64,
    /// From 1.
    pub attempt: i64,
    /// The fencing token: everything written for the task shows it.
    pub token: Secret,
    pub lease: Duration,
    pub queued: Timestamp,
    pub claimed: Timestamp,
}

impl Op<'_, '_> {
    /// Claims a task for a runner. `None`: somebody else was faster, or it is over.
    pub(super) fn claim(&mut self, id: TaskId, who: &RunnerIdentity) -> Result<Option<ClaimedTask>, Error> {
        let live = self.task(id)?;
        let length = self.core.settings.lease_of(who);
        let first = match who.commit {
            Commit::TwoPhase => self.core.settings.acknowledge_within.max(length),
            Commit::OnePhase => length,
        };
        let event = Event::Claim {
            lease: Lease {
                runner: who.runner,
                system_id: who.system_id.clone(),
                expires: self.now.after(first),
                length_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
                cancels_gracefully: who.cancels_gracefully,
            },
            commit: who.commit,
        };
        let Ok((state, effects)) = live.state.clone().apply(event, self.now) else {
            return Ok(None);
        };
        let secret = token::new(token::Kind::Job).map_err(Error::Random)?;
        let hash = token::digest(secret.expose());
        let json = write(&state)?;
        let claim = tasks::Claim {
            state: Stored {
                tag: state.name(),
                json: &json,
            },
            runner_id: who.runner,
            system_id: &who.system_id,
            token_hash: &hash,
            started_ms: state.started(),
        };
        let Some(row) = tasks::claim(self.tx, id, &claim, self.now)? else {
            return Ok(None);
        };
        let mut live = live;
        live.version = row.version;
        live.state = state;
        live.token_hash = Some(hash);
        live.contact = Some(self.now);
        self.put_task(live.clone());
        self.round.claimed.0.push(id);
        self.round.claimed.1.push(live.project);
        self.core.counters.count(&self.core.counters.claimed);
        if effects.contains(&Effect::Started) {
            let mut entry = self.take(live.pipeline)?;
            self.task_started(&mut entry, &live)?;
            self.put(entry);
        }
        Ok(Some(ClaimedTask {
            id,
            job: live.job,
            pipeline: live.pipeline,
            project: live.project,
            parallel_index: live.part,
            attempt: live.attempt,
            token: secret,
            lease: length,
            queued: live.queued,
            claimed: self.now,
        }))
    }

    /// Takes a task back whose runner hung up before it got the answer. `false`: it had not got it.
    pub(super) fn unclaim(&mut self, id: TaskId, who: &RunnerIdentity) -> Result<bool, Error> {
        let live = self.task(id)?;
        let ours = live
            .state
            .lease()
            .is_some_and(|lease| lease.runner == who.runner && lease.system_id == who.system_id);
        if ours {
            self.on_task(id, Event::Return)?;
        }
        Ok(ours)
    }
}
