//! The graph's data and how one event changes it.

use std::collections::{BTreeMap, BTreeSet};

use super::class::{Class, Counts, SetKind, composite};
use super::node::{Ancestry, NodeIndex, Spec};
use crate::state::{BadTransition, Outcome, Status, job};
use crate::time::Timestamp;

/// All jobs of one pipeline.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) workflows: Vec<Workflow>,
    /// Of all workflows, one after the other.
    pub(super) stages: Vec<Stage>,
    pub(super) matrices: BTreeMap<NodeIndex, Matrix>,
    /// Matrices of which a member has ended since the last settling.
    pub(super) dirty_matrices: BTreeSet<NodeIndex>,
    counts: Counts,
    /// Jobs with needs that may be decidable now.
    pub(super) ready: BTreeSet<u32>,
    changed: Vec<NodeIndex>,
    actions: Vec<(NodeIndex, Action)>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) spec: Spec,
    pub(super) state: job::State,
    pub(super) class: Class,
    pub(super) dependents: Vec<u32>,
    /// Classes of its needs.
    pub(super) needs: Counts,
    /// Its own end and that of all before it.
    pub(super) ancestry: Ancestry,
    is_changed: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Workflow {
    /// Index of its first stage in `stages`.
    pub(super) first: usize,
    pub(super) stages: usize,
    counts: Counts,
    /// Stages (counted in the workflow) with a job that later stages wait for.
    pub(super) holding: BTreeSet<usize>,
    /// First stage in which something changed since the last settling.
    pub(super) dirty: Option<usize>,
    /// `before[s]`: all jobs of stages before `s`; right for `s` < its length.
    pub(super) before: Vec<Counts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    pub(super) counts: Counts,
    pub(super) nodes: Vec<u32>,
    /// Jobs without needs that are not decided yet.
    pub(super) undecided: BTreeSet<u32>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Matrix {
    pub(super) members: Vec<u32>,
    pub(super) max_parallel: Option<u32>,
    pub(super) fail_fast: bool,
    /// Members that are started and not ended.
    pub(super) holders: BTreeSet<u32>,
    /// Members whose turn comes when a holder ends.
    pub(super) waiting: BTreeSet<u32>,
    pub(super) failed: bool,
}

/// What is to be done outside the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the job's tasks and queue them, or start its downstream pipeline.
    Start,
    /// Ask its resource group; answer with [`job::Event::AcquireResource`].
    RequestResource,
    /// It has given its resource back.
    ReleaseResource,
    /// Look at it again then.
    WakeAt(Timestamp),
    /// Cancel it: its tasks have to be told.
    Cancel,
}

/// What came of a round, to be stored and done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Jobs whose state is another now, each once.
    pub nodes: Vec<NodeIndex>,
    pub actions: Vec<(NodeIndex, Action)>,
}

impl Graph {
    /// A graph of these jobs, in the plan's order, with the states they have. Call [`Graph::settle`] next.
    ///
    /// Edges to jobs that do not exist are dropped.
    #[must_use]
    pub fn new(jobs: Vec<(Spec, job::State)>) -> Self {
        let count = jobs.len();
        let mut graph = Self {
            nodes: Vec::with_capacity(count),
            workflows: workflows(jobs.iter().map(|(spec, _)| spec)),
            stages: Vec::new(),
            matrices: BTreeMap::new(),
            dirty_matrices: BTreeSet::new(),
            counts: Counts::default(),
            ready: BTreeSet::new(),
            changed: Vec::new(),
            actions: Vec::new(),
        };
        let stages = graph.workflows.iter().map(|workflow| workflow.stages).sum();
        graph.stages = vec![Stage::default(); stages];
        for (mut spec, state) in jobs {
            if let Some(needs) = &mut spec.needs {
                needs.retain(|edge| edge.need.at() < count);
            }
            let class = Class::of(&state, &spec.allow_failure);
            graph.nodes.push(Node {
                ancestry: Ancestry::of(&state),
                spec,
                state,
                class,
                dependents: Vec::new(),
                needs: Counts::default(),
                is_changed: false,
            });
        }
        for i in 0..graph.nodes.len() {
            graph.enter(i);
        }
        graph.inherit();
        graph
    }

    /// Puts a new node into every count.
    fn enter(&mut self, i: usize) {
        let index = i as u32;
        let class = self.nodes[i].class;
        let edges = self.nodes[i].spec.needs.clone();
        let stage = self.stage_of(i);
        self.counts.add(class);
        self.workflow_mut(i).counts.add(class);
        self.stages[stage].counts.add(class);
        self.stages[stage].nodes.push(index);
        let undecided = class == Class::Created;
        match edges {
            Some(edges) => {
                for edge in edges {
                    let need = edge.need.at();
                    let class = self.nodes[need].class;
                    self.nodes[i].needs.add(class);
                    self.nodes[need].dependents.push(index);
                }
                if undecided {
                    self.ready.insert(index);
                }
            }
            None if undecided => {
                self.stages[stage].undecided.insert(index);
            }
            None => {}
        }
        self.note_stage(i);
        if let Some(strategy) = self.nodes[i].spec.matrix {
            let started = self.nodes[i].state.holds_resource();
            let waits = class == Class::WaitingForResource;
            let failed = class == Class::Failed;
            let matrix = self.matrices.entry(strategy.first).or_default();
            matrix.members.push(index);
            matrix.max_parallel = strategy.max_parallel;
            matrix.fail_fast = strategy.fail_fast;
            matrix.failed |= failed;
            self.dirty_matrices.insert(strategy.first);
            if started {
                matrix.holders.insert(index);
            } else if waits {
                matrix.waiting.insert(index);
            }
        }
    }

    /// Hands the ends of all jobs down to those after them, for a graph that was loaded in mid-life.
    fn inherit(&mut self) {
        let mut open: Vec<u32> = (0..self.nodes.len() as u32)
            .filter(|i| !self.nodes[*i as usize].ancestry.succeeded())
            .collect();
        while let Some(i) = open.pop() {
            let from = self.nodes[i as usize].ancestry;
            for d in self.nodes[i as usize].dependents.clone() {
                let dependent = &mut self.nodes[d as usize];
                let merged = dependent.ancestry.with(from);
                if dependent.class.is_finished() && merged != dependent.ancestry {
                    dependent.ancestry = merged;
                    open.push(d);
                }
            }
        }
    }

    /// Number of jobs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every job's index, in the plan's order.
    pub fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len() as u32).map(NodeIndex)
    }

    /// What is fixed about a job.
    #[must_use]
    pub fn spec(&self, node: NodeIndex) -> &Spec {
        &self.nodes[node.at()].spec
    }

    /// Where a job is.
    #[must_use]
    pub fn state(&self, node: NodeIndex) -> &job::State {
        &self.nodes[node.at()].state
    }

    /// Jobs that need it directly.
    pub fn dependents(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.nodes[node.at()].dependents.iter().map(|i| NodeIndex(*i))
    }

    /// Status of the whole.
    #[must_use]
    pub fn status(&self) -> Status {
        composite(&self.counts, SetKind::Stages)
    }

    /// Status of one workflow.
    #[must_use]
    pub fn workflow_status(&self, workflow: u32) -> Status {
        self.workflows
            .get(workflow as usize)
            .map_or(Status::Success, |w| composite(&w.counts, SetKind::Stages))
    }

    /// Number of workflows.
    #[must_use]
    pub fn workflows(&self) -> u32 {
        self.workflows.len() as u32
    }

    /// Status of one stage of a workflow.
    #[must_use]
    pub fn stage_status(&self, workflow: u32, stage: u32) -> Status {
        self.workflows
            .get(workflow as usize)
            .and_then(|w| self.stages.get(w.first + stage as usize))
            .map_or(Status::Success, |s| composite(&s.counts, SetKind::Stages))
    }

    /// How many jobs of each class there are.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How everything before a job ended; meaningful once that is so.
    #[must_use]
    pub fn ancestry(&self, node: NodeIndex) -> Ancestry {
        match &self.nodes[node.at()].spec.needs {
            Some(edges) => edges.iter().fold(Ancestry::default(), |all, edge| {
                all.with(self.nodes[edge.need.at()].ancestry)
            }),
            None => {
                let own = self.stage_of(node.at());
                let first = self.workflows[self.nodes[node.at()].spec.workflow as usize].first;
                let before = self.stages[first..own]
                    .iter()
                    .fold(Counts::default(), |all, stage| all.plus(&stage.counts));
                Ancestry {
                    failed: before.of(Class::Failed) > 0,
                    canceled: before.of(Class::Canceled) > 0,
                    skipped: before.of(Class::Skipped) > 0,
                }
            }
        }
    }

    /// Whether such an end of a job does not count against the pipeline.
    #[must_use]
    pub fn allows(&self, node: NodeIndex, outcome: &Outcome) -> bool {
        let allow = &self.nodes[node.at()].spec.allow_failure;
        match outcome {
            Outcome::Failed(failure) => allow.allows(failure.exit_code),
            Outcome::Canceled => allow.allows(None),
            Outcome::Success | Outcome::Skipped => false,
        }
    }

    /// Lets `event` happen to a job. What follows from it for others waits for [`Graph::settle`].
    ///
    /// # Errors
    /// The job's state refuses it; nothing changed.
    pub fn apply(&mut self, node: NodeIndex, event: job::Event, now: Timestamp) -> Result<(), BadTransition> {
        let (next, effects) = self.nodes[node.at()].state.apply(event, now)?;
        for effect in effects {
            self.actions.push((node, effect.into()));
        }
        self.replace(node, next);
        Ok(())
    }

    /// Takes what has come of all events since the last call.
    pub fn drain(&mut self) -> Changes {
        let nodes = std::mem::take(&mut self.changed);
        for node in &nodes {
            self.nodes[node.at()].is_changed = false;
        }
        Changes {
            nodes,
            actions: std::mem::take(&mut self.actions),
        }
    }

    /// Puts back what was drained, to be drained once more.
    pub fn undrain(&mut self, changes: Changes) {
        for node in changes.nodes {
            if !std::mem::replace(&mut self.nodes[node.at()].is_changed, true) {
                self.changed.push(node);
            }
        }
        self.actions.extend(changes.actions);
    }

    pub(super) fn act(&mut self, node: NodeIndex, action: Action) {
        self.actions.push((node, action));
    }

    pub(super) fn stage_of(&self, i: usize) -> usize {
        let spec = &self.nodes[i].spec;
        self.workflows[spec.workflow as usize].first + spec.stage as usize
    }

    fn workflow_mut(&mut self, i: usize) -> &mut Workflow {
        let workflow = self.nodes[i].spec.workflow as usize;
        &mut self.workflows[workflow]
    }

    /// Replaces a job's state and keeps every count right.
    pub(super) fn replace(&mut self, node: NodeIndex, state: job::State) {
        let i = node.at();
        let class = Class::of(&state, &self.nodes[i].spec.allow_failure);
        let old = std::mem::replace(&mut self.nodes[i].class, class);
        if !std::mem::replace(&mut self.nodes[i].is_changed, true) {
            self.changed.push(node);
        }
        self.nodes[i].state = state;
        if old == class {
            return;
        }
        self.nodes[i].ancestry = if class.is_finished() && self.nodes[i].spec.needs.is_some() {
            Ancestry::of(&self.nodes[i].state).with(self.ancestry(node))
        } else {
            Ancestry::of(&self.nodes[i].state)
        };
        self.recount(i, old, class);
        self.note_stage(i);
        self.note_matrix(i, class);
    }

    fn recount(&mut self, i: usize, old: Class, class: Class) {
        let swap = |counts: &mut Counts| {
            counts.remove(old);
            counts.add(class);
        };
        let stage = self.stage_of(i);
        swap(&mut self.counts);
        swap(&mut self.workflow_mut(i).counts);
        swap(&mut self.stages[stage].counts);
        for d in std::mem::take(&mut self.nodes[i].dependents) {
            let dependent = &mut self.nodes[d as usize];
            swap(&mut dependent.needs);
            if dependent.class == Class::Created {
                self.ready.insert(d);
            }
            self.nodes[i].dependents.push(d);
        }
        let index = i as u32;
        let undecided = class == Class::Created;
        match (self.nodes[i].spec.needs.is_some(), undecided) {
            (true, true) => {
                self.ready.insert(index);
            }
            (true, false) => {
                self.ready.remove(&index);
            }
            (false, true) => {
                self.stages[stage].undecided.insert(index);
            }
            (false, false) => {
                self.stages[stage].undecided.remove(&index);
            }
        }
    }

    fn note_stage(&mut self, i: usize) {
        let stage = self.stage_of(i);
        let holds = self.stages[stage].counts.holds_later_stages();
        let workflow = self.workflow_mut(i);
        let stage = stage - workflow.first;
        if holds {
            workflow.holding.insert(stage);
        } else {
            workflow.holding.remove(&stage);
        }
        workflow.dirty = Some(workflow.dirty.map_or(stage, |dirty| dirty.min(stage)));
        workflow.before.truncate(stage + 1);
    }

    fn note_matrix(&mut self, i: usize, class: Class) {
        let Some(strategy) = self.nodes[i].spec.matrix else {
            return;
        };
        let Some(matrix) = self.matrices.get_mut(&strategy.first) else {
            return;
        };
        let index = i as u32;
        if class.is_finished() || class == Class::Created {
            matrix.holders.remove(&index);
            matrix.waiting.remove(&index);
            self.dirty_matrices.insert(strategy.first);
        }
        if class == Class::Failed {
            matrix.failed = true;
        }
    }
}

fn workflows<'a>(specs: impl Iterator<Item = &'a Spec>) -> Vec<Workflow> {
    let mut workflows: Vec<Workflow> = Vec::new();
    for spec in specs {
        let workflow = spec.workflow as usize;
        if workflows.len() <= workflow {
            workflows.resize_with(workflow + 1, Workflow::default);
        }
        workflows[workflow].stages = workflows[workflow].stages.max(spec.stage as usize + 1);
    }
    let mut first = 0;
    for workflow in &mut workflows {
        workflow.first = first;
        first += workflow.stages;
    }
    workflows
}

impl From<job::Effect> for Action {
    fn from(effect: job::Effect) -> Self {
        match effect {
            job::Effect::QueueTasks => Self::Start,
            job::Effect::RequestResource => Self::RequestResource,
            job::Effect::WakeAt(at) => Self::WakeAt(at),
            job::Effect::ReleaseResource => Self::ReleaseResource,
        }
    }
}
