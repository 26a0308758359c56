//! Jobs and their tasks.

use std::collections::HashMap;

use serde::Deserialize;
use tasuki_model::id::{JobId, TaskId};
use tasuki_model::plan::{AllowFailure, Environment, Gate, Need};
use tasuki_model::state::{job as lifecycle, task as task_lifecycle};
use tasuki_proto::rest::{Artifact, Job, JobKind, JobNeed, RunnerRef, Task};
use tasuki_store::{Result, Tx, artifacts, jobs, logs, runners, tasks};

use super::{damaged, environment, read, status};

/// What is shown of a job's plan: reading no more keeps lists of thousands of jobs quick.
#[derive(Deserialize)]
struct PlanHead {
    #[serde(default)]
    needs: Option<Vec<Need>>,
    #[serde(default)]
    allow_failure: AllowFailure,
    #[serde(default)]
    gate: Option<Gate>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    downstream: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    environment: Option<Environment>,
}

/// A job without its tasks, from parts that were read for the whole pipeline.
pub(super) fn of_parts(
    row: &jobs::Job,
    plan: &str,
    needs: &[jobs::Need],
    names: &HashMap<JobId, String>,
    url: &str,
) -> Result<Job> {
    let state: lifecycle::State = read("state of a job", &row.state_json)?;
    let plan: PlanHead = read("plan of a job", plan)?;
    let failure = match &state {
        lifecycle::State::Finished { outcome, .. } => outcome.failure().cloned(),
        _ => None,
    };
    let kind = match plan.gate {
        Some(Gate::Approval(_)) => JobKind::Approval,
        Some(Gate::Manual(_) | Gate::Delay { .. }) | None if plan.downstream.is_some() => JobKind::Bridge,
        Some(Gate::Manual(_) | Gate::Delay { .. }) | None => JobKind::Build,
    };
    let allowed = matches!(&state, lifecycle::State::Finished { allowed: true, .. })
        || matches!(plan.allow_failure, AllowFailure::Flag(true));
    let edges = needs.iter().filter_map(|need| {
        let job = names.get(&need.needs)?.clone();
        Some(JobNeed {
            job_id: need.needs.0,
            job,
            artifacts: need.artifacts,
        })
    });
    Ok(Job {
        id: row.id.0,
        pipeline_id: row.pipeline_id.0,
        workflow_id: row.workflow_id.0,
        name: row.name.clone(),
        stage: row.stage.clone(),
        kind,
        status: status::of_job(&state),
        allow_failure: allowed,
        needs: plan.needs.is_some().then(|| edges.collect()),
        tags: plan.tags,
        environment: plan.environment.map(environment::of_plan),
        failure_reason: failure.as_ref().map(|f| f.reason.as_str().to_owned()),
        exit_code: failure.and_then(|f| f.exit_code),
        why_pending: None,
        coverage: None,
        created_at: row.created_ms.into(),
        started_at: row.started_ms.map(Into::into),
        finished_at: row.finished_ms.map(Into::into),
        tasks: Vec::new(),
        web_url: format!("{url}/jobs/{}", row.id),
    })
}

/// A job with its tasks and their artifacts.
pub fn job(tx: &mut Tx<'_>, row: &jobs::Job, url: &str) -> Result<Job> {
    let plan = jobs::plan(tx, row.id)?.ok_or_else(|| damaged("plan of a job"))?;
    let needs = jobs::needs_of_job(tx, row.pipeline_id, row.id)?;
    let mut names = HashMap::new();
    for need in &needs {
        if let Some(needed) = jobs::get(tx, need.needs)? {
            names.insert(needed.id, needed.name);
        }
    }
    let mut job = of_parts(row, &plan, &needs, &names, url)?;
    if let Some(named) = &mut job.environment {
        environment::look_up(tx, row, named, url)?;
    }
    for row in tasks::of_job(tx, row.id)? {
        job.tasks.push(task(tx, &row, url)?);
    }
    Ok(job)
}

/// A task with its artifacts.
pub fn task(tx: &mut Tx<'_>, row: &tasks::Task, url: &str) -> Result<Task> {
    let state: task_lifecycle::State = read("state of a task", &row.state_json)?;
    let runner = match row.runner_id {
        None => None,
        Some(id) => Some(RunnerRef {
            id: id.0,
            name: runners::get(tx, id)?.map_or_else(|| "removed".to_owned(), |runner| runner.description),
            system_id: row.system_id.clone().unwrap_or_default(),
        }),
    };
    let files = artifacts::of_task(tx, row.id)?;
    let log = logs::get(tx, row.id)?;
    Ok(Task {
        id: row.id.0,
        job_id: row.job_id.0,
        attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
        parallel_index: u32::try_from(row.parallel_index).unwrap_or(u32::MAX),
        status: status::of_task(&state),
        runner,
        failure_reason: row.failure_reason.clone(),
        exit_code: row.exit_code.and_then(|code| i32::try_from(code).ok()),
        queued_at: row.queued_ms.into(),
        started_at: row.started_ms.map(Into::into),
        finished_at: row.finished_ms.map(Into::into),
        log_size: log.map_or(0, |log| u64::try_from(log.size).unwrap_or(0)),
        artifacts: files.iter().map(|file| artifact(file, url)).collect(),
    })
}

/// A file that a task left.
#[must_use]
pub fn artifact(row: &artifacts::Artifact, url: &str) -> Artifact {
    Artifact {
        id: row.id,
        kind: row.kind.clone(),
        format: row.format.clone(),
        filename: row.filename.clone(),
        size: u64::try_from(row.size).unwrap_or(0),
        expires_at: row.expires_ms.map(Into::into),
        download_url: format!("{url}/api/v1/artifacts/{}/download", row.id),
    }
}

/// A job with what its page shows besides.
pub struct JobPage {
    pub job: Job,
    pub pipeline: tasuki_proto::rest::Pipeline,
    /// The task whose log is shown: the one asked for, or the newest.
    pub task: Option<TaskId>,
}

/// Everything for the page of a job; `None` = there is no such job or task.
pub fn job_page(tx: &mut Tx<'_>, id: JobId, task: Option<TaskId>, url: &str) -> Result<Option<JobPage>> {
    let Some(row) = jobs::get(tx, id)? else { return Ok(None) };
    let Some(pipeline) = tasuki_store::pipelines::get(tx, row.pipeline_id)? else {
        return Ok(None);
    };
    let job = job(tx, &row, url)?;
    let newest = job.tasks.last().map(|task| TaskId(task.id));
    let task = task.or(newest);
    let pipeline = super::pipeline(tx, &pipeline, url)?;
    Ok(Some(JobPage { job, pipeline, task }))
}
