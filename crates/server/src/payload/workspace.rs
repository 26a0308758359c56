//! The workspace of a workflow: what the jobs before this one persisted, in layers.

use std::collections::{BTreeMap, BTreeSet};

use tasuki_model::id::JobId;
use tasuki_model::plan::{self, StepKind};
use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::WorkspaceLayer;
use tasuki_store::{Tx, artifacts, jobs};

use super::gather::Missing;
use super::upstream;

/// Kind of the artifacts that hold a layer.
const KIND: &str = "workspace";

/// The layers for a job that attaches the workspace: of all jobs that it needs, directly or not, each after those that
/// it needs itself. Only the newest attempt of a job counts.
pub(super) fn layers(
    tx: &mut Tx<'_>,
    row: &jobs::Job,
    plan: &plan::Job,
    now: Timestamp,
) -> Result<Vec<WorkspaceLayer>, Missing> {
    let attaches = |step: &plan::Step| matches!(step.kind, StepKind::AttachWorkspace { .. });
    if !plan.steps.iter().any(attaches) {
        return Ok(Vec::new());
    }
    let mut of_job: BTreeMap<JobId, Vec<artifacts::Artifact>> = BTreeMap::new();
    for file in artifacts::of_pipeline(tx, row.pipeline_id)? {
        if file.kind == KIND && file.expires_ms.is_none_or(|at| at > now) {
            of_job.entry(file.job_id).or_default().push(file);
        }
    }
    let mut layers = Vec::new();
    if of_job.is_empty() {
        return Ok(layers);
    }
    for job in before(tx, row)? {
        let Some(files) = of_job.remove(&job) else { continue };
        let Some(other) = jobs::get(tx, job)? else { continue };
        let current = upstream::newest(tx, job)?;
        // By task and name already: the order in which they were persisted.
        let files = files.into_iter().filter(|file| current.contains_key(&file.task_id));
        layers.extend(files.map(|file| WorkspaceLayer {
            task: file.task_id.0,
            job: other.name.clone(),
            filename: file.filename,
        }));
    }
    Ok(layers)
}

/// All jobs before this one, each after those that it needs.
fn before(tx: &mut Tx<'_>, row: &jobs::Job) -> Result<Vec<JobId>, Missing> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::from([row.id]);
    // A job, and those of its needs that were not looked at yet.
    let mut open = vec![(row.id, needs(tx, row, row.id)?)];
    while let Some((job, left)) = open.last_mut() {
        match left.pop() {
            Some(next) if seen.insert(next) => {
                let below = needs(tx, row, next)?;
                open.push((next, below));
            }
            Some(_) => {}
            None => {
                order.push(*job);
                open.pop();
            }
        }
    }
    order.pop();
    Ok(order)
}

/// In reverse order of the plan: the first is taken first.
fn needs(tx: &mut Tx<'_>, row: &jobs::Job, job: JobId) -> Result<Vec<JobId>, Missing> {
    let edges = jobs::needs_of_job(tx, row.pipeline_id, job)?;
    let mut needs: Vec<JobId> = edges.into_iter().map(|edge| edge.needs).collect();
    needs.sort_unstable_by(|a, b| b.cmp(a));
    Ok(needs)
}
