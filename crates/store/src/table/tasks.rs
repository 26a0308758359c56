//! Tasks: what runners claim. Live ones are few whatever the history, and only they are looked through.

use tasuki_model::id::{JobId, PipelineId, ProjectId, RunnerId, TaskId};
use tasuki_model::time::Timestamp;

use super::State;
use crate::row::{Record as _, record};
use crate::value::{Value, params};
use crate::{Result, Tx};

/// The tag of a task that waits for a runner, the one state that SQL text here knows by name.
pub const QUEUED: &str = "queued";

record! {
    /// A task.
    pub struct Task in tasks {
        pub id: TaskId,
        pub job_id: JobId,
        pub pipeline_id: PipelineId,
        pub project_id: ProjectId,
        /// Which of the job's parallel parts, from 0.
        pub parallel_index: i64,
        /// From 1.
        pub attempt: i64,
        pub state: String,
        pub state_json: String,
        /// Counts every change of the row.
        pub version: i64,
        /// Higher goes first.
        pub priority: i64,
        /// What matching looks at: tags, resource class, protection, features.
        pub match_json: String,
        pub queued_ms: Timestamp,
        pub claimed_ms: Option<Timestamp>,
        pub started_ms: Option<Timestamp>,
        pub finished_ms: Option<Timestamp>,
        /// The runner's last sign of life, as far as it was flushed.
        pub contact_ms: Option<Timestamp>,
        pub runner_id: Option<RunnerId>,
        pub system_id: Option<String>,
        /// SHA-256 of the task's token, hex.
        pub token_hash: Option<String>,
        pub exit_code: Option<i64>,
        pub failure_reason: Option<String>,
    }
}

/// What a new task is made of. It starts as [`QUEUED`] with version 1.
#[derive(Debug, Clone, Copy)]
pub struct NewTask<'a> {
    pub job_id: JobId,
    pub pipeline_id: PipelineId,
    pub project_id: ProjectId,
    pub parallel_index: i64,
    pub attempt: i64,
    pub state_json: &'a str,
    pub priority: i64,
    pub match_json: &'a str,
}

/// Queues many tasks with few statements; gives their ids in the order of `new`.
///
/// # Errors
/// When the database fails.
pub fn insert_all(tx: &mut Tx, new: &[NewTask<'_>], now: Timestamp) -> Result<Vec<TaskId>> {
    let mut values = Vec::with_capacity(new.len() * 11);
    for task in new {
        values.extend([
            Value::from(task.job_id),
            Value::from(task.pipeline_id),
            Value::from(task.project_id),
            Value::Int(task.parallel_index),
            Value::Int(task.attempt),
            Value::Text(QUEUED),
            Value::Text(task.state_json),
            Value::Int(1),
            Value::Int(task.priority),
            Value::Text(task.match_json),
            Value::from(now),
        ]);
    }
    let mut found = tx.insert_all(
        "tasks (job_id, pipeline_id, project_id, parallel_index, attempt, state, state_json, version, priority,
                match_json, queued_ms)",
        11,
        &values,
        "RETURNING job_id, parallel_index, attempt, id",
        |row| {
            Ok((
                (row.take::<JobId>()?, row.take::<i64>()?, row.take::<i64>()?),
                row.take::<TaskId>()?,
            ))
        },
    )?;
    if let [(_, only)] = found[..] {
        return Ok(vec![only]);
    }
    found.sort_unstable();
    let mut order: Vec<usize> = (0..new.len()).collect();
    order.sort_by_key(|&at| (new[at].job_id, new[at].parallel_index, new[at].attempt));
    let mut ids = vec![TaskId(0); new.len()];
    for (&at, (_, id)) in order.iter().zip(&found) {
        ids[at] = *id;
    }
    Ok(ids)
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: TaskId) -> Result<Option<Task>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// The live task that this token's hash (SHA-256, hex) was given to.
///
/// # Errors
/// When the database fails.
pub fn by_token_hash(tx: &mut Tx, hash: &str) -> Result<Option<Task>> {
    tx.select_opt("WHERE finished_ms IS NULL AND token_hash = $1", params![hash])
}

/// All tasks of a job: every attempt of every parallel part, oldest first.
///
/// # Errors
/// When the database fails.
pub fn of_job(tx: &mut Tx, job: JobId) -> Result<Vec<Task>> {
    tx.select(
        "WHERE pipeline_id = (SELECT jobs.pipeline_id FROM jobs WHERE jobs.id = $1) AND job_id = $1 ORDER BY id",
        params![job],
    )
}

/// All tasks of a pipeline, by job and age.
///
/// # Errors
/// When the database fails.
pub fn of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Task>> {
    tx.select("WHERE pipeline_id = $1 ORDER BY job_id, id", params![pipeline])
}

/// The newest task of every job of a pipeline (of a parallel job: of every part).
///
/// # Errors
/// When the database fails.
pub fn newest_of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Task>> {
    tx.select(
        "WHERE id IN (SELECT MAX(t.id) FROM tasks AS t WHERE t.pipeline_id = $1 GROUP BY t.job_id, t.parallel_index)
         ORDER BY job_id, parallel_index",
        params![pipeline],
    )
}

/// All tasks that wait for a runner, oldest first. Costs what is live, not what is history.
///
/// # Errors
/// When the database fails.
pub fn queued(tx: &mut Tx) -> Result<Vec<Task>> {
    tx.select("WHERE finished_ms IS NULL AND state = 'queued' ORDER BY id", params![])
}

/// The next tasks that wait for a runner after the task `after`, oldest first.
///
/// # Errors
/// When the database fails.
pub fn queued_after(tx: &mut Tx, after: TaskId, limit: u32) -> Result<Vec<Task>> {
    tx.select(
        "WHERE finished_ms IS NULL AND state = 'queued' AND id > $1 ORDER BY id LIMIT $2",
        params![after, limit],
    )
}

/// All tasks that a runner has, oldest first.
///
/// # Errors
/// When the database fails.
pub fn running(tx: &mut Tx) -> Result<Vec<Task>> {
    tx.select("WHERE finished_ms IS NULL AND state <> 'queued' ORDER BY id", params![])
}

/// Those of one runner.
///
/// # Errors
/// When the database fails.
pub fn running_on(tx: &mut Tx, runner: RunnerId) -> Result<Vec<Task>> {
    tx.select(
        "WHERE finished_ms IS NULL AND state <> 'queued' AND runner_id = $1 ORDER BY id",
        params![runner],
    )
}

/// Who claims a task.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub state: State<'a>,
    pub runner_id: RunnerId,
    pub system_id: &'a str,
    /// SHA-256 of the token made for this claim, hex.
    pub token_hash: &'a str,
    /// Set where the claim starts the task at once (no two-phase commit).
    pub started_ms: Option<Timestamp>,
}

/// Gives a queued task to a runner: the compare-and-swap that only one wins. `None`: it is not queued
/// any more.
///
/// # Errors
/// When the database fails.
pub fn claim(tx: &mut Tx, id: TaskId, claim: &Claim<'_>, now: Timestamp) -> Result<Option<Task>> {
    let sql = format!(
        "UPDATE tasks SET state = $2, state_json = $3, version = version + 1, runner_id = $4, system_id = $5,
                token_hash = $6, claimed_ms = $7, contact_ms = $7, started_ms = $8
         WHERE id = $1 AND state = 'queued' AND finished_ms IS NULL RETURNING {}",
        Task::COLUMNS
    );
    tx.query_opt(
        &sql,
        params![
            id,
            claim.state.tag,
            claim.state.json,
            claim.runner_id,
            claim.system_id,
            claim.token_hash,
            now,
            claim.started_ms
        ],
        Task::read,
    )
}

/// Takes a task back from a runner that never took it up: queued again, its token worthless.
/// `false`: the version is another one.
///
/// # Errors
/// When the database fails.
pub fn unclaim(tx: &mut Tx, id: TaskId, version: i64, state_json: &str) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE tasks SET state = 'queued', state_json = $3, version = version + 1, runner_id = NULL,
                system_id = NULL, token_hash = NULL, claimed_ms = NULL, contact_ms = NULL, started_ms = NULL
         WHERE id = $1 AND version = $2 AND finished_ms IS NULL",
        params![id, version, state_json],
    )?;
    Ok(rows == 1)
}

/// A task's new state; the times are saved as they stand here.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub state: State<'a>,
    pub started_ms: Option<Timestamp>,
    /// Set = it is over: its token opens nothing any more.
    pub finished_ms: Option<Timestamp>,
    pub exit_code: Option<i64>,
    pub failure_reason: Option<&'a str>,
}

/// Saves a new state of a live task if its version still is `version`. `false`: it is another one, or
/// the task is finished.
///
/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: TaskId, version: i64, change: &Change<'_>) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE tasks SET state = $3, state_json = $4, version = version + 1, started_ms = $5, finished_ms = $6,
                exit_code = $7, failure_reason = $8
         WHERE id = $1 AND version = $2 AND finished_ms IS NULL",
        params![
            id,
            version,
            change.state.tag,
            change.state.json,
            change.started_ms,
            change.finished_ms,
            change.exit_code,
            change.failure_reason
        ],
    )?;
    Ok(rows == 1)
}

/// Notes runners' signs of life. Does not count the version up.
///
/// # Errors
/// When the database fails.
pub fn touch_all(tx: &mut Tx, seen: &[(TaskId, Timestamp)]) -> Result<()> {
    let values: Vec<Value<'_>> = seen
        .iter()
        .flat_map(|(id, at)| [Value::from(*id), Value::from(*at)])
        .collect();
    tx.update_all(
        "tasks",
        "contact_ms = v.column2",
        &["BIGINT", "BIGINT"],
        &values,
        "WHERE tasks.id = v.column1 AND tasks.finished_ms IS NULL",
    )?;
    Ok(())
}
