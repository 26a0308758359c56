//! Resource groups: which job holds one, which wait.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::{Value, params};
use crate::{Result, Tx};

record! {
    /// A job that holds a resource group or waits for it.
    pub struct Claim in resource_claims {
        pub job_id: JobId,
        pub project_id: ProjectId,
        pub key: String,
        pub pipeline_id: PipelineId,
        pub held: bool,
        pub since_ms: Timestamp,
    }
}

/// The group's process mode where somebody set one.
///
/// # Errors
/// When the database fails.
pub fn mode(tx: &mut Tx, project: ProjectId, key: &str) -> Result<Option<String>> {
    tx.query_opt(
        "SELECT mode FROM resource_groups WHERE project_id = $1 AND key = $2",
        params![project, key],
        |row| row.take(),
    )
}

/// # Errors
/// When the database fails.
pub fn set_mode(tx: &mut Tx, project: ProjectId, key: &str, mode: &str) -> Result<()> {
    tx.exec(
        "INSERT INTO resource_groups (project_id, key, mode) VALUES ($1, $2, $3)
         ON CONFLICT (project_id, key) DO UPDATE SET mode = excluded.mode",
        params![project, key, mode],
    )?;
    Ok(())
}

/// Makes the group known (with `mode` where it is new) and locks it until the end of the transaction, so
/// that two servers cannot decide about the same group at once.
///
/// # Errors
/// When the database fails.
pub fn lock(tx: &mut Tx, project: ProjectId, key: &str, mode: &str) -> Result<()> {
    tx.exec(
        "INSERT INTO resource_groups (project_id, key, mode) VALUES ($1, $2, $3)
         ON CONFLICT (project_id, key) DO UPDATE SET key = excluded.key",
        params![project, key, mode],
    )?;
    Ok(())
}

/// A job starts to wait for the group. Doing it twice changes nothing.
///
/// # Errors
/// When the database fails.
pub fn join(
    tx: &mut Tx,
    project: ProjectId,
    key: &str,
    pipeline: PipelineId,
    job: JobId,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        "INSERT INTO resource_claims (job_id, project_id, key, pipeline_id, held, since_ms)
         VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (job_id) DO NOTHING",
        params![job, project, key, pipeline, now],
    )?;
    Ok(())
}

/// The job holds the group now.
///
/// # Errors
/// When the database fails.
pub fn hold(tx: &mut Tx, job: JobId, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE resource_claims SET held = 1, since_ms = $2 WHERE job_id = $1",
        params![job, now],
    )?;
    Ok(rows == 1)
}

/// The job neither holds the group nor waits for it any more; gives what it had.
///
/// # Errors
/// When the database fails.
pub fn leave(tx: &mut Tx, job: JobId) -> Result<Option<Claim>> {
    let claim = tx.select_opt("WHERE job_id = $1", params![job])?;
    if claim.is_some() {
        tx.exec("DELETE FROM resource_claims WHERE job_id = $1", params![job])?;
    }
    Ok(claim)
}

/// Who holds the group and who waits, by job id.
///
/// # Errors
/// When the database fails.
pub fn claims(tx: &mut Tx, project: ProjectId, key: &str) -> Result<Vec<Claim>> {
    tx.select(
        "WHERE project_id = $1 AND key = $2 ORDER BY job_id",
        params![project, key],
    )
}

/// As [`claims`], each with the tag of the job's state.
///
/// # Errors
/// When the database fails.
pub fn claims_with_state(tx: &mut Tx, project: ProjectId, key: &str) -> Result<Vec<(Claim, String)>> {
    with_state(tx, "WHERE c.project_id = $1 AND c.key = $2", params![project, key])
}

/// The claims of all groups, each with the tag of the job's state.
///
/// # Errors
/// When the database fails.
pub fn all_claims_with_state(tx: &mut Tx) -> Result<Vec<(Claim, String)>> {
    with_state(tx, "", params![])
}

fn with_state(tx: &mut Tx, which: &str, params: &[Value<'_>]) -> Result<Vec<(Claim, String)>> {
    let sql = format!(
        "SELECT c.job_id, c.project_id, c.key, c.pipeline_id, c.held, c.since_ms, jobs.state
         FROM resource_claims AS c JOIN jobs ON jobs.id = c.job_id {which} ORDER BY c.job_id"
    );
    tx.query(&sql, params, |row| {
        let claim = Claim {
            job_id: row.take()?,
            project_id: row.take()?,
            key: row.take()?,
            pipeline_id: row.take()?,
            held: row.take()?,
            since_ms: row.take()?,
        };
        Ok((claim, row.take()?))
    })
}

/// What a job holds or waits for.
///
/// # Errors
/// When the database fails.
pub fn of_job(tx: &mut Tx, job: JobId) -> Result<Option<Claim>> {
    tx.select_opt("WHERE job_id = $1", params![job])
}
