//! What the simulation knows to be promised: everything that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use tasuki_model::id::{JobId, PipelineId, RunnerId, TaskId};
use tasuki_model::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Pipelines that the server said it made.
    pub(super) pipelines: BTreeMap<PipelineId, Made>,
    /// The key that each was made with.
    pub(super) keys: BTreeMap<String, PipelineId>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Jobs that a person started (played, retried, or by the pipeline's retry).
    pub(super) by_hand: BTreeSet<JobId>,
    /// Results that were accepted, with who reported them.
    pub(super) accepted: BTreeMap<TaskId, (RunnerId, String)>,
    /// Tasks as they ended: never to change again.
    pub(super) ended: BTreeMap<TaskId, String>,
    /// Highest task seen of each pipeline.
    pub(super) seen: BTreeMap<PipelineId, TaskId>,
    /// When each running task's runner was last heard.
    pub(super) heard: BTreeMap<TaskId, Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) done: bool,
}

/// What is fixed about a job, as the simulation wrote it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) pipeline: PipelineId,
    pub(super) stage: usize,
    /// `None`: all of earlier stages.
    pub(super) needs: Option<Vec<JobId>>,
    pub(super) manual: bool,
    pub(super) optional: bool,
    pub(super) delay: Option<i64>,
    /// It deploys to an environment.
    pub(super) deploys: bool,
    /// It stops an environment, which may start it out of its turn.
    pub(super) stops: bool,
    pub(super) created: Timestamp,
}

/// What was done, for the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub pipelines: u64,
    pub claims: u64,
    pub accepted: u64,
    pub refused: u64,
    pub lost: u64,
    pub doubled: u64,
    pub delayed: u64,
    pub deaths: u64,
    pub freezes: u64,
    pub restarts: u64,
    pub checks: u64,
    pub environments: u64,
}
