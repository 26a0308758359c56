//! Jobs, their plans and their needs.

use tasuki_model::id::{JobId, PipelineId, ProjectId, WorkflowId};
use tasuki_model::time::Timestamp;

use super::State;
use crate::row::record;
use crate::value::{Value, params};
use crate::{Result, Tx};

record! {
    /// A job, without its plan.
    pub struct Job in jobs {
        pub id: JobId,
        pub pipeline_id: PipelineId,
        pub project_id: ProjectId,
        pub workflow_id: WorkflowId,
        /// Position in the pipeline.
        pub idx: i64,
        pub name: String,
        pub stage: String,
        pub stage_idx: i64,
        pub state: String,
        pub state_json: String,
        /// What the graph needs to know of the job.
        pub graph_json: String,
        /// When the clock has something to do with it.
        pub due_ms: Option<Timestamp>,
        pub created_ms: Timestamp,
        pub started_ms: Option<Timestamp>,
        pub finished_ms: Option<Timestamp>,
    }
}

/// What a new job is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    pub workflow_id: WorkflowId,
    /// Position in the pipeline, unique in it.
    pub idx: i64,
    pub name: &'a str,
    pub stage: &'a str,
    pub stage_idx: i64,
    pub state: State<'a>,
    pub graph_json: &'a str,
    pub plan_json: &'a str,
    pub due_ms: Option<Timestamp>,
    pub finished_ms: Option<Timestamp>,
}

/// Makes many jobs with few statements; gives their ids in the order of `new`.
///
/// # Errors
/// When the database fails.
pub fn insert_all(
    tx: &mut Tx,
    pipeline: PipelineId,
    project: ProjectId,
    new: &[NewJob<'_>],
    now: Timestamp,
) -> Result<Vec<JobId>> {
    let mut values = Vec::with_capacity(new.len() * 13);
    for job in new {
        values.extend([
            Value::from(pipeline),
            Value::from(project),
            Value::from(job.workflow_id),
            Value::Int(job.idx),
            Value::Text(job.name),
            Value::Text(job.stage),
            Value::Int(job.stage_idx),
            Value::Text(job.state.tag),
            Value::Text(job.state.json),
            Value::Text(job.graph_json),
            Value::from(job.due_ms),
            Value::from(now),
            Value::from(job.finished_ms),
        ]);
    }
    let mut found = tx.insert_all(
        "jobs (pipeline_id, project_id, workflow_id, idx, name, stage, stage_idx, state, state_json, graph_json,
               due_ms, created_ms, finished_ms)",
        13,
        &values,
        "RETURNING idx, id",
        |row| Ok((row.take::<i64>()?, row.take::<JobId>()?)),
    )?;
    found.sort_unstable_by_key(|(idx, _)| *idx);
    // Back into the caller's order, which need not be that of `idx`.
    let mut order: Vec<usize> = (0..new.len()).collect();
    order.sort_by_key(|&at| new[at].idx);
    let mut ids = vec![JobId(0); new.len()];
    for (&at, (_, id)) in order.iter().zip(&found) {
        ids[at] = *id;
    }
    let plans: Vec<Value<'_>> = ids
        .iter()
        .zip(new)
        .flat_map(|(id, job)| [Value::from(*id), Value::Text(job.plan_json)])
        .collect();
    tx.insert_rows("job_plans (job_id, plan_json)", 2, &plans)?;
    Ok(ids)
}

/// An edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub job: JobId,
    pub needs: JobId,
    /// Whether its artifacts are fetched.
    pub artifacts: bool,
}

/// # Errors
/// When the database fails.
pub fn insert_needs(tx: &mut Tx, pipeline: PipelineId, needs: &[Need]) -> Result<()> {
    let values: Vec<Value<'_>> = needs
        .iter()
        .flat_map(|need| {
            [
                Value::from(pipeline),
                Value::from(need.job),
                Value::from(need.needs),
                Value::from(need.artifacts),
            ]
        })
        .collect();
    tx.insert_rows("needs (pipeline_id, job_id, needs_job_id, artifacts)", 4, &values)
}

/// All edges of a pipeline, by job.
///
/// # Errors
/// When the database fails.
pub fn needs_of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Need>> {
    tx.query(
        "SELECT job_id, needs_job_id, artifacts FROM needs WHERE pipeline_id = $1 ORDER BY job_id, needs_job_id",
        params![pipeline],
        need,
    )
}

/// The edges of one job.
///
/// # Errors
/// When the database fails.
pub fn needs_of_job(tx: &mut Tx, pipeline: PipelineId, job: JobId) -> Result<Vec<Need>> {
    tx.query(
        "SELECT job_id, needs_job_id, artifacts FROM needs
         WHERE pipeline_id = $1 AND job_id = $2 ORDER BY needs_job_id",
        params![pipeline, job],
        need,
    )
}

fn need(row: &mut crate::Row<'_>) -> Result<Need> {
    Ok(Need {
        job: row.take()?,
        needs: row.take()?,
        artifacts: row.take()?,
    })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: JobId) -> Result<Option<Job>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// The job's plan as JSON.
///
/// # Errors
/// When the database fails.
pub fn plan(tx: &mut Tx, id: JobId) -> Result<Option<String>> {
    tx.query_opt(
        "SELECT plan_json FROM job_plans WHERE job_id = $1",
        params![id],
        |row| row.take(),
    )
}

/// Replaces the job's plan (variables were given when it was played).
///
/// # Errors
/// When the database fails.
pub fn set_plan(tx: &mut Tx, id: JobId, plan_json: &str) -> Result<()> {
    tx.exec(
        "UPDATE job_plans SET plan_json = $2 WHERE job_id = $1",
        params![id, plan_json],
    )?;
    Ok(())
}

/// The plans of all jobs of a pipeline, by position.
///
/// # Errors
/// When the database fails.
pub fn plans_of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<(JobId, String)>> {
    tx.query(
        "SELECT jobs.id, job_plans.plan_json FROM jobs JOIN job_plans ON job_plans.job_id = jobs.id
         WHERE jobs.pipeline_id = $1 ORDER BY jobs.idx",
        params![pipeline],
        |row| Ok((row.take()?, row.take()?)),
    )
}

/// All jobs of a pipeline, by position.
///
/// # Errors
/// When the database fails.
pub fn of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Job>> {
    tx.select("WHERE pipeline_id = $1 ORDER BY idx", params![pipeline])
}

/// A page of the jobs of a pipeline; `after` is the position of the last one of the page before.
///
/// # Errors
/// When the database fails.
pub fn page(tx: &mut Tx, pipeline: PipelineId, after: Option<i64>, limit: u32) -> Result<Vec<Job>> {
    tx.select(
        "WHERE pipeline_id = $1 AND idx > $2 ORDER BY idx LIMIT $3",
        params![pipeline, after.unwrap_or(i64::MIN), limit],
    )
}

/// How many jobs of a pipeline are in which state.
///
/// # Errors
/// When the database fails.
pub fn count_by_state(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<(String, i64)>> {
    tx.query(
        "SELECT state, COUNT(*) FROM jobs WHERE pipeline_id = $1 GROUP BY state ORDER BY state",
        params![pipeline],
        |row| Ok((row.take()?, row.take()?)),
    )
}

/// Jobs that the clock has to do something with until `until`, earliest first.
///
/// # Errors
/// When the database fails.
pub fn due(tx: &mut Tx, until: Timestamp, limit: u32) -> Result<Vec<Job>> {
    tx.select(
        "WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms LIMIT $2",
        params![until, limit],
    )
}

/// When the clock has next to do something with a job.
///
/// # Errors
/// When the database fails.
pub fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    tx.query_opt(
        "SELECT MIN(due_ms) FROM jobs WHERE due_ms IS NOT NULL",
        params![],
        |row| row.take::<Option<Timestamp>>(),
    )
    .map(Option::flatten)
}

/// A job's new state; the times are saved as they stand here.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub id: JobId,
    pub state: State<'a>,
    pub due_ms: Option<Timestamp>,
    pub started_ms: Option<Timestamp>,
    pub finished_ms: Option<Timestamp>,
}

/// Saves new states of any number of jobs of one pipeline, whose version guards them
/// (`pipelines::advance`).
///
/// # Errors
/// When the database fails.
pub fn change_all(tx: &mut Tx, changes: &[Change<'_>]) -> Result<()> {
    if let [change] = changes {
        tx.exec(
            "UPDATE jobs SET state = $2, state_json = $3, due_ms = $4, started_ms = $5, finished_ms = $6 WHERE id = $1",
            params![
                change.id,
                change.state.tag,
                change.state.json,
                change.due_ms,
                change.started_ms,
                change.finished_ms
            ],
        )?;
        return Ok(());
    }
    let values: Vec<Value<'_>> = changes
        .iter()
        .flat_map(|change| {
            [
                Value::from(change.id),
                Value::Text(change.state.tag),
                Value::Text(change.state.json),
                Value::from(change.due_ms),
                Value::from(change.started_ms),
                Value::from(change.finished_ms),
            ]
        })
        .collect();
    tx.update_all(
        "jobs",
        "state = v.column2, state_json = v.column3, due_ms = v.column4, started_ms = v.column5,
         finished_ms = v.column6",
        &["BIGINT", "TEXT", "TEXT", "BIGINT", "BIGINT", "BIGINT"],
        &values,
        "WHERE jobs.id = v.column1",
    )?;
    Ok(())
}
