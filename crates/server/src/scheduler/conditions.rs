//! Late conditions of jobs, evaluated when the graph asks.

use std::collections::BTreeMap;

use tasuki_model::expr::{self, Context, Expr, Literal, Value};
use tasuki_model::graph::{Conditions, Graph, NodeIndex};
use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::plan::Job;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::Failure;
use tasuki_store::{Tx, jobs};

use super::entry::parse;
use super::error::Error;
use super::outputs;

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

    fn outputs(&mut self, graph: &Graph, node: NodeIndex) -> Result<Vec<BTreeMap<String, String>>, Error> {
        let edges = graph.spec(node).needs.as_deref().unwrap_or_default();
        let all = edges
            .iter()
            .map(|edge| outputs::of_job(self.tx, self.jobs[edge.need.at()]));
        all.collect()
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
        let read = self.plan(node).and_then(|plan| {
            let outputs = match &plan {
                Some(plan) if asks_outputs(plan) => self.outputs(graph, node)?,
                _ => Vec::new(),
            };
            Ok((plan, outputs))
        });
        match read {
            Ok((plan, outputs)) => evaluate(plan.as_ref(), graph, node, outputs),
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
        // Nothing has run yet.
        evaluate(self.jobs.get(node.at()), graph, node, Vec::new())
    }
}

/// What a condition of a job can see: how its needs ended, near and far.
struct Scope<'a> {
    graph: &'a Graph,
    node: NodeIndex,
    /// Names of the needs, in the order of the edges.
    needs: Vec<&'a str>,
    /// What they gave, in that order; empty where it is not asked for.
    outputs: Vec<BTreeMap<String, String>>,
}

impl Scope<'_> {
    fn result(&self, edge: usize) -> &'static str {
        let Some(need) = self
            .graph
            .spec(self.node)
            .needs
            .as_ref()
            .and_then(|needs| needs.get(edge))
        else {
            return "skipped";
        };
        outputs::result(self.graph.state(need.need))
    }

    /// Whether one of the named needs (all ancestors where none is named) ended like that.
    fn any(&self, names: &[Value], result: &str, ancestors: bool) -> bool {
        if names.is_empty() {
            return ancestors;
        }
        names.iter().any(|name| {
            let place = self
                .needs
                .iter()
                .position(|need| need.eq_ignore_ascii_case(&name.to_text()));
            place.is_some_and(|edge| self.result(edge) == result)
        })
    }
}

impl Context for Scope<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "needs" => Some(Value::object(self.needs.iter().enumerate().map(|(edge, name)| {
                let given = self.outputs.get(edge).into_iter().flatten();
                let outputs = given.map(|(name, value)| (name.as_str(), Value::text(value.as_str())));
                let facts = [
                    ("result", Value::text(self.result(edge))),
                    ("outputs", Value::object(outputs)),
                ];
                (*name, Value::object(facts))
            }))),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let before = self.graph.ancestry(self.node);
        let value = match name {
            "always" => true,
            "success" if arguments.is_empty() => before.succeeded(),
            "success" => arguments
                .iter()
                .all(|name| self.any(std::slice::from_ref(name), "success", false)),
            "failure" => self.any(arguments, "failure", before.failed),
            "cancelled" => self.any(arguments, "cancelled", before.canceled),
            _ => return None,
        };
        Some(Ok(Value::Bool(value)))
    }
}

/// Whether the condition looks at more of its needs than how they ended.
fn asks_outputs(plan: &Job) -> bool {
    fn asks(expr: &Expr) -> bool {
        match expr {
            Expr::Context(name) => name == "needs",
            Expr::Index { index, .. } if matches!(&**index, Expr::Literal(Literal::Text(key)) if key == "result") => {
                false
            }
            _ => expr.parts().any(asks),
        }
    }
    plan.condition.as_ref().is_some_and(asks)
}

fn evaluate(
    plan: Option<&Job>,
    graph: &Graph,
    node: NodeIndex,
    outputs: Vec<BTreeMap<String, String>>,
) -> Result<bool, Failure> {
    let Some((plan, condition)) = plan.and_then(|plan| Some((plan, plan.condition.as_ref()?))) else {
        return Ok(true);
    };
    let needs = plan.needs.iter().flatten().filter(|need| need.source.is_none());
    let scope = Scope {
        graph,
        node,
        needs: needs.map(|need| need.job.as_str()).collect(),
        outputs,
    };
    expr::holds(condition, &scope).map_err(|error| {
        tracing::info!(job = plan.name, %error, "a job's condition has no value: the job fails");
        Failure::of(FailureReason::UnmetPrerequisites)
    })
}
