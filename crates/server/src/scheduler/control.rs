//! What people do to jobs and pipelines.

use tasuki_model::graph::NodeIndex;
use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::Variable;
use tasuki_model::state::task::{Event as TaskEvent, State as TaskState};
use tasuki_model::state::{Outcome, job};
use tasuki_store::jobs;

use super::entry::{Entry, parse, write};
use super::error::Error;
use super::op::Op;

/// What is given along when a manual job is played.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// Job variables for this run.
    pub variables: Vec<Variable>,
}

impl Op<'_, '_> {
    /// Works on the pipeline that a job is in.
    pub(super) fn with_job<T>(
        &mut self,
        job: JobId,
        body: impl FnOnce(&mut Self, &mut Entry, NodeIndex) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let missing = Error::NotFound { what: "job", id: job.0 };
        let Some(row) = jobs::get(self.tx, job)? else {
            return Err(missing);
        };
        let mut entry = self.take(row.pipeline_id)?;
        let Some(node) = entry.node(job) else {
            return Err(missing);
        };
        let value = body(self, &mut entry, node)?;
        self.put(entry);
        Ok(value)
    }

    /// Cancels a job: at once where nothing of it runs, else its tasks are told and it is `canceling`.
    pub(super) fn cancel_job(&mut self, entry: &mut Entry, node: NodeIndex) -> Result<(), Error> {
        self.cancel_children(entry, Some(node))?;
        let allowed = entry.graph.allows(node, &Outcome::Canceled);
        let cancel = |stop| job::Event::Cancel { stop, allowed };
        let open = entry.open_tasks(node);
        if open.is_empty() {
            return Ok(entry.graph.apply(node, cancel(job::Stop::Now), self.now)?);
        }
        // A result that was reported stays a result.
        let mut decided = true;
        for id in &open {
            decided &= matches!(self.task(*id)?.state, TaskState::Finishing { .. });
        }
        if decided {
            return Ok(());
        }
        for id in open {
            self.on_task_of(entry, id, TaskEvent::Cancel)?;
        }
        if entry.graph.state(node).finished().is_none() {
            entry.graph.apply(node, cancel(job::Stop::WhenTasksEnd), self.now)?;
        }
        Ok(())
    }

    /// Cancels every job that has not ended, and the child pipelines; gives how many jobs there were.
    pub(super) fn cancel_all(&mut self, entry: &mut Entry) -> Result<usize, Error> {
        self.cancel_children(entry, None)?;
        self.cancel_where(entry, |_, _| true)
    }

    /// Cancels every job that has not ended and for which `which` holds.
    pub(super) fn cancel_where(
        &mut self,
        entry: &mut Entry,
        which: impl Fn(&Entry, NodeIndex) -> bool,
    ) -> Result<usize, Error> {
        let mut count = 0;
        for node in entry.graph.indices() {
            if entry.graph.state(node).finished().is_none() && which(entry, node) {
                self.cancel_job(entry, node)?;
                count += 1;
            }
        }
        Ok(count)
    }

    pub(super) fn play(&mut self, job: JobId, with: &Play) -> Result<(), Error> {
        self.with_job(job, |op, entry, node| {
            entry.graph.play(node, op.now)?;
            if with.variables.is_empty() {
                return Ok(());
            }
            op.remember_variables(job, with)
        })
    }

    pub(super) fn retry(&mut self, job: JobId) -> Result<(), Error> {
        self.with_job(job, |op, entry, node| Ok(entry.graph.retry(node, op.now)?))
    }

    pub(super) fn retry_failed(&mut self, pipeline: PipelineId) -> Result<usize, Error> {
        let mut entry = self.take(pipeline)?;
        let count = entry.graph.retry_failed(self.now)?;
        self.put(entry);
        Ok(count)
    }

    pub(super) fn unschedule(&mut self, job: JobId) -> Result<(), Error> {
        self.with_job(job, |op, entry, node| {
            Ok(entry.graph.apply(node, job::Event::Unschedule, op.now)?)
        })
    }
}

impl Op<'_, '_> {
    /// Keeps the variables of a play beside the job's plan, as its key `played`; the payload reads them there.
    fn remember_variables(&mut self, job: JobId, with: &Play) -> Result<(), Error> {
        let text = jobs::plan(self.tx, job)?.ok_or(Error::NotFound {
            what: "plan of job",
            id: job.0,
        })?;
        let mut plan: serde_json::Map<String, serde_json::Value> = parse("plan of job", job.0, &text)?;
        let played = serde_json::to_value(&with.variables).map_err(Error::Unwritable)?;
        plan.insert("played".to_owned(), played);
        Ok(jobs::set_plan(self.tx, job, &write(&plan)?)?)
    }
}
