//! Jobs that start other pipelines, and the pipelines that came of them.

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Result, Tx};

/// A pipeline is still to be made.
pub const WANTED: &str = "wanted";
/// The pipeline was made.
pub const MADE: &str = "made";
/// None could be made.
pub const FAILED: &str = "failed";

record! {
    /// The newest start of a job that starts a pipeline.
    pub struct Bridge in bridges {
        pub job_id: JobId,
        /// The job's own pipeline.
        pub pipeline_id: PipelineId,
        /// Counts up with every retry.
        pub attempt: i64,
        /// `depend`, `mirror`; absent: done once the pipeline is made.
        pub strategy: Option<String>,
        /// [`WANTED`], [`MADE`], [`FAILED`].
        pub state: String,
        /// The pipeline that was made.
        pub downstream_id: Option<PipelineId>,
        /// Why none was made.
        pub error: Option<String>,
        /// Wanted: not before this time.
        pub due_ms: Option<Timestamp>,
        pub since_ms: Timestamp,
    }
}

/// The job's turn has come: its pipeline is wanted, whatever came of an earlier attempt.
///
/// # Errors
/// When the database fails.
pub fn want(tx: &mut Tx, job: JobId, pipeline: PipelineId, strategy: Option<&str>, now: Timestamp) -> Result<()> {
    tx.exec(
        "INSERT INTO bridges (job_id, pipeline_id, attempt, strategy, state, due_ms, since_ms)
         VALUES ($1, $2, 1, $3, 'wanted', $4, $4)
         ON CONFLICT (job_id) DO UPDATE SET attempt = bridges.attempt + 1, strategy = excluded.strategy,
             state = 'wanted', downstream_id = NULL, error = NULL, due_ms = excluded.due_ms,
             since_ms = excluded.since_ms",
        params![job, pipeline, strategy, now],
    )?;
    Ok(())
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, job: JobId) -> Result<Option<Bridge>> {
    tx.select_opt("WHERE job_id = $1", params![job])
}

/// Those of one pipeline, in the order of its jobs.
///
/// # Errors
/// When the database fails.
pub fn of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Bridge>> {
    tx.select("WHERE pipeline_id = $1 ORDER BY job_id", params![pipeline])
}

/// The job that started a pipeline. More than one where several mirror it.
///
/// # Errors
/// When the database fails.
pub fn of_downstream(tx: &mut Tx, downstream: PipelineId) -> Result<Vec<Bridge>> {
    tx.select("WHERE downstream_id = $1 ORDER BY job_id", params![downstream])
}

/// Those whose pipeline is to be made now, oldest first.
///
/// # Errors
/// When the database fails.
pub fn due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<Bridge>> {
    tx.select(
        "WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms, job_id LIMIT $2",
        params![now, limit],
    )
}

/// When the next one is to be made.
///
/// # Errors
/// When the database fails.
pub fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    let next: Option<Option<Timestamp>> =
        tx.query_opt("SELECT MIN(due_ms) FROM bridges WHERE due_ms IS NOT NULL", &[], |row| {
            row.take()
        })?;
    Ok(next.flatten())
}

/// The pipeline of this attempt was made. `false`: the attempt is not wanted any more.
///
/// # Errors
/// When the database fails.
pub fn made(tx: &mut Tx, job: JobId, attempt: i64, downstream: PipelineId) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE bridges SET state = 'made', downstream_id = $3, due_ms = NULL
         WHERE job_id = $1 AND attempt = $2 AND state = 'wanted'",
        params![job, attempt, downstream],
    )?;
    Ok(rows == 1)
}

/// No pipeline can be made of this attempt. `false`: it is not wanted any more.
///
/// # Errors
/// When the database fails.
pub fn failed(tx: &mut Tx, job: JobId, attempt: i64, error: &str) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE bridges SET state = 'failed', error = $3, due_ms = NULL
         WHERE job_id = $1 AND attempt = $2 AND state = 'wanted'",
        params![job, attempt, error],
    )?;
    Ok(rows == 1)
}

/// Making the pipeline failed for a reason that may pass: later.
///
/// # Errors
/// When the database fails.
pub fn put_off(tx: &mut Tx, job: JobId, attempt: i64, due: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE bridges SET due_ms = $3 WHERE job_id = $1 AND attempt = $2 AND state = 'wanted'",
        params![job, attempt, due],
    )?;
    Ok(())
}

/// The job was cancelled before its pipeline was made.
///
/// # Errors
/// When the database fails.
pub fn withdraw(tx: &mut Tx, job: JobId) -> Result<()> {
    tx.exec(
        "UPDATE bridges SET state = 'failed', error = 'the job was cancelled', due_ms = NULL
         WHERE job_id = $1 AND state = 'wanted'",
        params![job],
    )?;
    Ok(())
}
