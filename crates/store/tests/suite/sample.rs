//! Sample rows.

use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId};
use tasuki_store::pipelines::{Created, NewPipeline};
use tasuki_store::projects::NewProject;
use tasuki_store::tasks::NewTask;
use tasuki_store::{Result, State, Tx, jobs, pipelines, projects, tasks, workflows};

use crate::database::NOW;

pub(crate) const CREATED: State<'static> = State {
    tag: "created",
    json: "{}",
};

pub(crate) fn project(tx: &mut Tx<'_>, path: &str) -> Result<ProjectId> {
    projects::create(
        tx,
        &NewProject {
            path,
            name: path,
            kind: "local",
            url: "/srv/repository",
            default_branch: "main",
            settings_json: "{}",
        },
        NOW,
    )
}

pub(crate) fn new_pipeline(project: ProjectId) -> NewPipeline<'static> {
    NewPipeline {
        project_id: project,
        idempotency_key: None,
        source: "push",
        ref_kind: "branch",
        ref_name: "main",
        sha: "0123456789012345678901234567890123456789",
        title: "Make it so",
        author: "A. Author",
        name: None,
        state: CREATED,
        priority: 0,
        job_count: 0,
        trigger_json: "{}",
        plan_json: "{}",
        diagnostics_json: "[]",
        finished_ms: None,
    }
}

pub(crate) fn pipeline(tx: &mut Tx<'_>, project: ProjectId) -> Result<PipelineId> {
    match pipelines::create(tx, &new_pipeline(project), NOW)? {
        Created::New { id, .. } | Created::Existing(id) => Ok(id),
    }
}

/// `count` jobs of one workflow.
pub(crate) fn some_jobs(tx: &mut Tx<'_>, project: ProjectId, pipeline: PipelineId, count: i64) -> Result<Vec<JobId>> {
    let workflow = workflows::insert_all(tx, pipeline, &["main"], CREATED)?[0];
    let names: Vec<String> = (0..count).map(|n| format!("job {n}")).collect();
    let plan = format!(r#"{{"script":"{}"}}"#, "x".repeat(500));
    let new: Vec<jobs::NewJob<'_>> = names
        .iter()
        .zip(0..)
        .map(|(name, idx)| jobs::NewJob {
            workflow_id: workflow,
            idx,
            name,
            stage: "test",
            stage_idx: 1,
            state: CREATED,
            graph_json: "{}",
            plan_json: &plan,
            due_ms: None,
            finished_ms: None,
        })
        .collect();
    jobs::insert_all(tx, pipeline, project, &new, NOW)
}

pub(crate) fn new_task(project: ProjectId, pipeline: PipelineId, job: JobId) -> NewTask<'static> {
    NewTask {
        job_id: job,
        pipeline_id: pipeline,
        project_id: project,
        parallel_index: 0,
        attempt: 1,
        state_json: "{}",
        priority: 0,
        match_json: "{}",
    }
}

/// A project with one pipeline of `count` jobs, each with a queued task.
pub(crate) fn queued(tx: &mut Tx<'_>, path: &str, count: i64) -> Result<(ProjectId, PipelineId, Vec<TaskId>)> {
    let project = project(tx, path)?;
    let pipeline = pipeline(tx, project)?;
    let jobs = some_jobs(tx, project, pipeline, count)?;
    let new: Vec<NewTask<'_>> = jobs.iter().map(|job| new_task(project, pipeline, *job)).collect();
    let tasks = tasks::insert_all(tx, &new, NOW)?;
    Ok((project, pipeline, tasks))
}

pub(crate) fn claim(runner: i64, token_hash: &str) -> tasks::Claim<'_> {
    tasks::Claim {
        state: State {
            tag: "running",
            json: "{}",
        },
        runner_id: tasuki_model::id::RunnerId(runner),
        system_id: "s_test",
        token_hash,
        started_ms: Some(NOW),
    }
}

pub(crate) fn finished(tag: &'static str) -> tasks::Change<'static> {
    tasks::Change {
        state: State { tag, json: "{}" },
        started_ms: Some(NOW),
        finished_ms: Some(NOW),
        exit_code: Some(0),
        failure_reason: None,
    }
}
