//! A pipeline with its graph, as the scheduler works on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tasuki_model::graph::{Graph, NodeIndex, Spec, Work};
use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId, WorkflowId};
use tasuki_model::labels::Demand;
use tasuki_model::plan::{Environment, OnJobFailure, ResourceGroup};
use tasuki_model::state::{Outcome, job, pipeline, workflow};
use tasuki_store::{Tx, jobs, pipelines, tasks, workflows};

use super::error::Error;
use super::pages::Publishing;

/// What the scheduler must know of a job without reading its plan: stored beside the job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobMeta {
    pub(super) graph: Spec,
    #[serde(flatten)]
    pub(super) facts: Facts,
}

/// The part of it that the graph does not need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) demand: Arc<Demand>,
    /// Tasks per attempt.
    pub(super) parallelism: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) interruptible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<ResourceGroup>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timeout_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<Arc<Environment>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pages: Option<Arc<Publishing>>,
}

/// A pipeline in memory. `version` is that of its row.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: PipelineId,
    pub(super) project: ProjectId,
    pub(super) version: i64,
    pub(super) priority: i64,
    pub(super) state: pipeline::State,
    pub(super) graph: Graph,
    /// By node.
    pub(super) jobs: Vec<JobId>,
    pub(super) facts: Vec<Facts>,
    nodes: HashMap<JobId, NodeIndex>,
    pub(super) workflows: Vec<(WorkflowId, workflow::State)>,
    /// Tasks of jobs that are under way.
    pub(super) parts: BTreeMap<NodeIndex, Parts>,
    /// Jobs that have tasks.
    pub(super) ran: BTreeSet<NodeIndex>,
    /// Read from the plan when first asked for.
    pub(super) on_job_failure: Option<OnJobFailure>,
}

/// The tasks of a job that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// By part: the attempt that is not over.
    pub(super) open: BTreeMap<i64, TaskId>,
    /// Of the parts that are over, the worst.
    pub(super) worst: Option<Outcome>,
}

/// What an [`Entry`] is made of besides what is derived.
pub(super) struct Ingredients {
    pub(super) id: PipelineId,
    pub(super) project: ProjectId,
    pub(super) version: i64,
    pub(super) priority: i64,
    pub(super) state: pipeline::State,
    pub(super) graph: Graph,
    pub(super) jobs: Vec<JobId>,
    pub(super) facts: Vec<Facts>,
    pub(super) workflows: Vec<(WorkflowId, workflow::State)>,
}

impl Entry {
    pub(super) fn new(of: Ingredients) -> Self {
        let nodes = of
            .jobs
            .iter()
            .enumerate()
            .map(|(i, job)| (*job, NodeIndex(i as u32)))
            .collect();
        Self {
            id: of.id,
            project: of.project,
            version: of.version,
            priority: of.priority,
            state: of.state,
            graph: of.graph,
            jobs: of.jobs,
            facts: of.facts,
            nodes,
            workflows: of.workflows,
            parts: BTreeMap::new(),
            ran: BTreeSet::new(),
            on_job_failure: None,
        }
    }

    /// Reads a pipeline with everything in it. The end of `changed`, should it have ended, is not counted yet.
    pub(super) fn load(tx: &mut Tx<'_>, id: PipelineId, changed: Option<TaskId>) -> Result<Self, Error> {
        let row = pipelines::get(tx, id)?.ok_or(Error::NotFound {
            what: "pipeline",
            id: id.0,
        })?;
        let state = parse("state of pipeline", id.0, &row.state_json)?;
        let mut nodes = Vec::new();
        let mut ids = Vec::new();
        let mut facts = Vec::new();
        for job in jobs::of_pipeline(tx, id)? {
            let meta: JobMeta = parse("graph of job", job.id.0, &job.graph_json)?;
            let state: job::State = parse("state of job", job.id.0, &job.state_json)?;
            nodes.push((meta.graph, state));
            facts.push(meta.facts);
            ids.push(job.id);
        }
        let mut own = Vec::new();
        for workflow in workflows::of_pipeline(tx, id)? {
            own.push((
                workflow.id,
                parse("state of workflow", workflow.id.0, &workflow.state_json)?,
            ));
        }
        let mut entry = Self::new(Ingredients {
            id,
            project: row.project_id,
            version: row.version,
            priority: row.priority,
            state,
            graph: Graph::new(nodes),
            jobs: ids,
            facts,
            workflows: own,
        });
        entry.load_parts(tx, changed)?;
        Ok(entry)
    }

    fn load_parts(&mut self, tx: &mut Tx<'_>, changed: Option<TaskId>) -> Result<(), Error> {
        for task in tasks::newest_of_pipeline(tx, self.id)? {
            let Some(node) = self.node(task.job_id) else { continue };
            self.ran.insert(node);
            if !self.graph.state(node).holds_resource() {
                continue;
            }
            let parts = self.parts.entry(node).or_default();
            if task.finished_ms.is_none() || Some(task.id) == changed {
                parts.open.insert(task.parallel_index, task.id);
                continue;
            }
            let state: tasuki_model::state::task::State = parse("state of task", task.id.0, &task.state_json)?;
            if let Some(outcome) = state.outcome() {
                parts.end(outcome.clone());
            }
        }
        Ok(())
    }

    /// Whether a job of it starts another pipeline.
    pub(super) fn has_bridges(&self) -> bool {
        self.graph
            .indices()
            .any(|node| self.graph.spec(node).work == Work::Downstream)
    }

    /// The job's node.
    pub(super) fn node(&self, job: JobId) -> Option<NodeIndex> {
        self.nodes.get(&job).copied()
    }

    /// The job's id.
    pub(super) fn job(&self, node: NodeIndex) -> JobId {
        self.jobs[node.at()]
    }

    /// The tasks of a job that have not ended: of each part at most one.
    pub(super) fn open_tasks(&self, node: NodeIndex) -> Vec<TaskId> {
        let parts = self.parts.get(&node).into_iter();
        parts.flat_map(|parts| parts.open.values().copied()).collect()
    }
}

impl Parts {
    /// A part has ended for good.
    pub(super) fn end(&mut self, outcome: Outcome) {
        self.worst = Some(match self.worst.take() {
            Some(worst) => worst.worse(outcome),
            None => outcome,
        });
    }
}

/// Reads a stored text.
pub(super) fn parse<T: serde::de::DeserializeOwned>(what: &'static str, id: i64, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|source| Error::Damaged { what, id, source })
}

/// Writes a text to be stored.
pub(super) fn write<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::Unwritable)
}
