//! Late conditions of jobs, evaluated when the graph asks.

use tasuki_model::expr::Expr;
use tasuki_model::graph::{Conditions, Graph, NodeIndex};
use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::Job;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::Failure;
use tasuki_store::{Tx, jobs};

use super::entry::parse;
use super::error::Error;

/// Conditions of a stored pipeline: the plan of a job is read when its turn comes.
pub(super) struct Stored<'a, 'c> {
    tx: &'a mut Tx<'c>,
    jobs: &'a [JobId],
    pipeline: PipelineId,
    /// What went wrong with the database; the graph only knows failures of jobs.
    error: Option<Error>,
}

/// Conditions of a pipeline that is being made: the plan is at hand.
pub(super) struct Planned<'a> {
    pub(super) jobs: &'a [Job],
}

impl<'a, 'c> Stored<'a, 'c> {
    pub(super) fn new(tx: &'a mut Tx<'c>, jobs: &'a [JobId], pipeline: PipelineId) -> Self {
        Self {
            tx,
            jobs,
            pipeline,
            error: None,
        }
    }

    /// Whether the database answered whenever it was asked.
    pub(super) fn outcome(self) -> Result<(), Error> {
        self.error.map_or(Ok(()), Err)
    }

    fn plan(&mut self, node: NodeIndex) -> Result<Option<Job>, Error> {
        let id = self.jobs[node.at()];
        match jobs::plan(self.tx, id)? {
            Some(text) => parse("plan of job", id.0, &text),
            None => Ok(None),
        }
    }
}

impl Conditions for Stored<'_, '_> {
    fn holds(&mut self, graph: &Graph, node: NodeIndex) -> Result<bool, Failure> {
        match self.plan(node) {
            Ok(plan) => evaluate(plan.as_ref().and_then(|plan| plan.condition.as_ref()), graph, node),
            Err(error) => {
                tracing::error!(pipeline.id = %self.pipeline, %error, "a job's condition cannot be read");
                self.error = Some(error);
                Ok(false)
            }
        }
    }
}

impl Conditions for Planned<'_> {
    fn holds(&mut self, graph: &Graph, node: NodeIndex) -> Result<bool, Failure> {
        let condition = self.jobs.get(node.at()).and_then(|job| job.condition.as_ref());
        evaluate(condition, graph, node)
    }
}

fn evaluate(condition: Option<&Expr>, graph: &Graph, node: NodeIndex) -> Result<bool, Failure> {
    let _ = (graph, node);
    match condition {
        None => Ok(true),
        Some(_) => Err(Failure::of(FailureReason::UnmetPrerequisites)),
    }
}
