//! Pipelines.

use std::collections::HashMap;

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::state::{job, pipeline as lifecycle};
use tasuki_model::trigger::Trigger;
use tasuki_proto::rest::{Counts, Diagnostic, Downstream, Pipeline, PipelineDetail, Status, UpstreamJob, Workflow};
use tasuki_store::{Result, Tx, Value, bridges, jobs, pipelines, projects, workflows};

use super::{damaged, read, status};
use crate::triggers::{continuation_of, setup_of};

/// A pipeline as lists show it. `url` is the server's own address.
pub fn pipeline(tx: &mut Tx<'_>, row: &pipelines::Pipeline, url: &str) -> Result<Pipeline> {
    let project = projects::get(tx, row.project_id)?.map_or_else(String::new, |project| project.path);
    let counts = counts(tx, row.id)?;
    of_row(row, project, counts, url)
}

fn of_row(row: &pipelines::Pipeline, project: String, counts: Counts, url: &str) -> Result<Pipeline> {
    let state: lifecycle::State = read("state of a pipeline", &row.state_json)?;
    let duration = row.started_ms.zip(row.finished_ms).map(|(from, to)| to.since(from));
    Ok(Pipeline {
        id: row.id.0,
        iid: row.iid,
        project_id: row.project_id.0,
        project,
        name: row.name.clone(),
        git_ref: row.ref_name.clone(),
        tag: row.ref_kind == "tag",
        sha: row.sha.clone(),
        title: row.title.clone(),
        source: row.source.clone(),
        user: (!row.author.is_empty()).then(|| row.author.clone()),
        status: status::of_pipeline(&state),
        counts,
        created_at: row.created_ms.into(),
        started_at: row.started_ms.map(Into::into),
        finished_at: row.finished_ms.map(Into::into),
        duration_ms: duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        web_url: format!("{url}/pipelines/{}", row.id),
        also: Vec::new(),
    })
}

/// How many jobs of a pipeline are in which state.
pub fn counts(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<Counts> {
    let mut counts = Counts::default();
    let sql = "SELECT state_json FROM jobs WHERE pipeline_id = $1";
    let states = tx.query(sql, &[Value::from(pipeline)], |row| row.take::<String>())?;
    for json in states {
        count(
            &mut counts,
            status::of_job(&read::<job::State>("state of a job", &json)?),
        );
    }
    Ok(counts)
}

fn count(counts: &mut Counts, status: Status) {
    counts.total += 1;
    let one = match status {
        Status::Created | Status::WaitingForResource | Status::Scheduled => &mut counts.waiting,
        Status::Manual => &mut counts.manual,
        Status::Pending => &mut counts.pending,
        Status::Running | Status::Canceling => &mut counts.running,
        Status::Success => &mut counts.success,
        Status::Failed | Status::Error => &mut counts.failed,
        Status::Canceled => &mut counts.canceled,
        Status::Skipped => &mut counts.skipped,
    };
    *one += 1;
}

/// A pipeline with its workflows and jobs.
pub fn detail(tx: &mut Tx<'_>, row: &pipelines::Pipeline, url: &str) -> Result<PipelineDetail> {
    let pipeline = pipeline(tx, row, url)?;
    let details = pipelines::details(tx, row.id)?.ok_or_else(|| damaged("details of a pipeline"))?;
    let plan: Option<PlanHead> = serde_json::from_str(&details.plan_json).ok();
    let stages: Vec<Vec<String>> = plan
        .map(|plan| plan.workflows.into_iter().map(|w| w.stages).collect())
        .unwrap_or_default();
    let mut by_workflow: HashMap<i64, Vec<_>> = HashMap::new();
    for job in jobs_of(tx, row.id, url)? {
        by_workflow.entry(job.workflow_id).or_default().push(job);
    }
    let mut all = Vec::new();
    for (at, workflow) in workflows::of_pipeline(tx, row.id)?.into_iter().enumerate() {
        let state: lifecycle::State = read("state of a workflow", &workflow.state_json)?;
        let jobs: Vec<_> = by_workflow.remove(&workflow.id.0).unwrap_or_default();
        all.push(Workflow {
            id: workflow.id.0,
            name: workflow.name,
            status: status::of_pipeline(&state),
            stages: stages.get(at).cloned().unwrap_or_default(),
            jobs,
        });
    }
    let diagnostics: Vec<Diagnostic> = read("diagnostics of a pipeline", &details.diagnostics_json)?;
    Ok(PipelineDetail {
        pipeline,
        workflows: all,
        diagnostics,
        upstream: upstream(tx, row)?,
        downstream: downstream(tx, row.id)?,
        continuation: continuation_of(tx, row)?.map(|following| following.id.0),
        setup: setup_of(tx, row)?.map(|setup| setup.id.0),
    })
}

/// The job that started a pipeline.
fn upstream(tx: &mut Tx<'_>, row: &pipelines::Pipeline) -> Result<Option<UpstreamJob>> {
    if !matches!(row.source.as_str(), "parent_pipeline" | "pipeline") {
        return Ok(None);
    }
    let Some(bridge) = bridges::of_downstream(tx, row.id)?.into_iter().next() else {
        return Ok(None);
    };
    let Some(job) = jobs::get(tx, bridge.job_id)? else {
        return Ok(None);
    };
    let project = projects::get(tx, job.project_id)?;
    Ok(Some(UpstreamJob {
        project: project.map(|project| project.path).unwrap_or_default(),
        pipeline_id: bridge.pipeline_id.0,
        job_id: job.id.0,
        job: job.name,
    }))
}

/// The pipelines that the jobs of a pipeline started.
fn downstream(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<Downstream>> {
    let mut all = Vec::new();
    for bridge in bridges::of_pipeline(tx, id)? {
        let Some(job) = jobs::get(tx, bridge.job_id)? else {
            continue;
        };
        let made = match bridge.downstream_id {
            Some(id) => pipelines::get(tx, id)?,
            None => None,
        };
        let mut one = Downstream {
            job_id: job.id.0,
            job: job.name,
            pipeline_id: None,
            project: None,
            status: None,
            error: bridge.error,
        };
        if let Some(made) = made {
            let state: lifecycle::State = read("state of a pipeline", &made.state_json)?;
            one.pipeline_id = Some(made.id.0);
            one.project = projects::get(tx, made.project_id)?.map(|project| project.path);
            one.status = Some(status::of_pipeline(&state));
        }
        all.push(one);
    }
    Ok(all)
}

/// What is read of the stored Plan.
#[derive(serde::Deserialize)]
struct PlanHead {
    #[serde(default)]
    workflows: Vec<WorkflowHead>,
}

#[derive(serde::Deserialize)]
struct WorkflowHead {
    #[serde(default)]
    stages: Vec<String>,
}

fn jobs_of(tx: &mut Tx<'_>, pipeline: PipelineId, url: &str) -> Result<Vec<tasuki_proto::rest::Job>> {
    let rows = jobs::of_pipeline(tx, pipeline)?;
    let names: HashMap<JobId, String> = rows.iter().map(|job| (job.id, job.name.clone())).collect();
    let mut needs: HashMap<JobId, Vec<jobs::Need>> = HashMap::new();
    for need in jobs::needs_of_pipeline(tx, pipeline)? {
        needs.entry(need.job).or_default().push(need);
    }
    let mut plans: HashMap<JobId, String> = jobs::plans_of_pipeline(tx, pipeline)?.into_iter().collect();
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let plan = plans.remove(&row.id).ok_or_else(|| damaged("plan of a job"))?;
        let needs = needs.remove(&row.id).unwrap_or_default();
        all.push(super::job::of_parts(&row, &plan, &needs, &names, url)?);
    }
    Ok(all)
}

/// What started a pipeline.
pub fn trigger(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<Trigger> {
    let details = pipelines::details(tx, pipeline)?.ok_or_else(|| damaged("details of a pipeline"))?;
    read("trigger of a pipeline", &details.trigger_json)
}
