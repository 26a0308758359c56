//! Jobs that start other pipelines: their turn, what came of it, and how their pipelines' ends come back to them.
//!
//! The pipelines themselves are made by [`crate::triggers`], which reads what is wanted from the database.

use tasuki_model::graph::{NodeIndex, Work};
use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::Downstream;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::{Outcome, Status, job, pipeline};
use tasuki_store::{bridges, jobs, pipelines};

use super::entry::{Entry, parse};
use super::error::Error;
use super::op::Op;

/// Read of the plan of a job that starts a pipeline.
#[derive(serde::Deserialize)]
struct BridgePlan {
    #[serde(default)]
    downstream: Option<Downstream>,
}

impl Op<'_, '_> {
    /// The turn of a job that starts a pipeline has come: notes that the pipeline is wanted.
    pub(super) fn want_downstream(&mut self, entry: &Entry, node: NodeIndex) -> Result<(), Error> {
        let job = entry.job(node);
        let text = jobs::plan(self.tx, job)?.unwrap_or_else(|| "{}".to_owned());
        let plan: BridgePlan = parse("plan of job", job.0, &text)?;
        let strategy = match &plan.downstream {
            Some(downstream) => downstream.strategy.as_deref(),
            // `needs: {pipeline: group/project}`: it shows the status of a pipeline that exists.
            None => Some("mirror"),
        };
        bridges::want(self.tx, job, entry.id, strategy, self.now)?;
        self.round.bridges = true;
        Ok(())
    }

    /// The pipeline of a job was made. Without a strategy the job is done, else it follows the pipeline. Nothing
    /// happens where the job was cancelled or retried meanwhile.
    pub(super) fn downstream_made(&mut self, job: JobId, attempt: i64, made: PipelineId) -> Result<(), Error> {
        if !bridges::made(self.tx, job, attempt, made)? {
            return Ok(());
        }
        let Some(bridge) = bridges::get(self.tx, job)? else {
            return Ok(());
        };
        self.with_job(job, |op, entry, node| {
            if !matches!(entry.graph.state(node), job::State::Pending { .. }) {
                return Ok(());
            }
            entry.graph.apply(node, job::Event::TaskStarted, op.now)?;
            match bridge.strategy.as_deref() {
                None => op.end_job(entry, node, Outcome::Success),
                Some(strategy) => {
                    let Some(row) = pipelines::get(op.tx, made)? else {
                        return Ok(());
                    };
                    let state: pipeline::State = parse("state of pipeline", made.0, &row.state_json)?;
                    op.follow_downstream(entry, node, strategy, state.status())
                }
            }
        })
    }

    /// No pipeline can be made of a job.
    pub(super) fn downstream_failed(&mut self, job: JobId, attempt: i64, why: &str) -> Result<(), Error> {
        if !bridges::failed(self.tx, job, attempt, why)? {
            return Ok(());
        }
        self.with_job(job, |op, entry, node| {
            if entry.graph.state(node).finished().is_some() {
                return Ok(());
            }
            let outcome = Outcome::failed(FailureReason::DownstreamPipelineCreationFailed);
            op.end_job(entry, node, outcome)
        })
    }

    /// A pipeline's status has changed: the jobs that follow it are told.
    pub(super) fn tell_upstream(&mut self, downstream: PipelineId, status: Status) -> Result<(), Error> {
        for bridge in bridges::of_downstream(self.tx, downstream)? {
            let Some(strategy) = bridge.strategy else { continue };
            let mut entry = self.take(bridge.pipeline_id)?;
            let Some(node) = entry.node(bridge.job_id) else {
                self.entries.insert(entry.id, entry);
                continue;
            };
            let before = entry.graph.state(node).clone();
            self.follow_downstream(&mut entry, node, &strategy, status)?;
            if *entry.graph.state(node) == before {
                self.entries.insert(entry.id, entry);
            } else {
                self.put(entry);
            }
        }
        Ok(())
    }

    /// Ends a job as its pipeline has ended. While the pipeline waits for a person, the job runs.
    fn follow_downstream(
        &mut self,
        entry: &mut Entry,
        node: NodeIndex,
        strategy: &str,
        status: Status,
    ) -> Result<(), Error> {
        if !entry.graph.state(node).holds_resource() {
            return Ok(());
        }
        match outcome(strategy, status) {
            Some(outcome) => self.end_job(entry, node, outcome),
            None => Ok(()),
        }
    }

    /// Cancels the child pipelines of a pipeline, or of one of its jobs. Pipelines of other projects go on.
    pub(super) fn cancel_children(&mut self, entry: &Entry, of: Option<NodeIndex>) -> Result<(), Error> {
        let bridges_here = match of {
            Some(node) if entry.graph.spec(node).work != Work::Downstream => return Ok(()),
            Some(node) => bridges::get(self.tx, entry.job(node))?.into_iter().collect(),
            None if !entry.has_bridges() => return Ok(()),
            None => bridges::of_pipeline(self.tx, entry.id)?,
        };
        for bridge in bridges_here {
            bridges::withdraw(self.tx, bridge.job_id)?;
            let Some(id) = bridge.downstream_id else { continue };
            let Some(row) = pipelines::get(self.tx, id)? else {
                continue;
            };
            if row.project_id != entry.project || row.source != "parent_pipeline" || row.finished_ms.is_some() {
                continue;
            }
            let mut child = self.take(id)?;
            self.cancel_all(&mut child)?;
            self.put(child);
        }
        Ok(())
    }
}

/// How a job ends whose pipeline has this status; `None`: not yet.
fn outcome(strategy: &str, status: Status) -> Option<Outcome> {
    match (strategy, status) {
        (_, Status::Success) => Some(Outcome::Success),
        (_, Status::Canceled) => Some(Outcome::Canceled),
        (_, Status::Failed) | ("depend", Status::Skipped) => Some(Outcome::failed(FailureReason::DownstreamFailed)),
        (_, Status::Skipped) => Some(Outcome::Skipped),
        (
            _,
            Status::Created
            | Status::WaitingForResource
            | Status::Preparing
            | Status::Pending
            | Status::Running
            | Status::Canceling
            | Status::Manual
            | Status::Scheduled,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_end_as_their_pipelines() {
        let failed = || Some(Outcome::failed(FailureReason::DownstreamFailed));
        for (status, depend, mirror) in [
            (Status::Success, Some(Outcome::Success), Some(Outcome::Success)),
            (Status::Failed, failed(), failed()),
            (Status::Canceled, Some(Outcome::Canceled), Some(Outcome::Canceled)),
            (Status::Skipped, failed(), Some(Outcome::Skipped)),
            (Status::Manual, None, None),
            (Status::Running, None, None),
        ] {
            assert_eq!(outcome("depend", status), depend, "depend on {status}");
            assert_eq!(outcome("mirror", status), mirror, "mirror {status}");
        }
    }
}
