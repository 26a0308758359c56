//! Deployments: runs of jobs that deploy to an environment.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A deployment.
    pub struct Deployment in deployments {
        pub id: i64,
        pub environment_id: i64,
        pub project_id: ProjectId,
        /// It may be gone.
        pub pipeline_id: PipelineId,
        /// It may be gone.
        pub job_id: JobId,
        pub job_name: String,
        /// `branch`, `tag`, `merge_request`.
        pub ref_kind: String,
        pub ref_name: String,
        pub sha: String,
        /// `created`, `running`, `success`, `failed`, `canceled`.
        pub status: String,
        /// The job of the same pipeline that stops the environment.
        pub stop_job_id: Option<JobId>,
        pub url: Option<String>,
        /// The job has succeeded, and its url is still to be made of what it left.
        pub url_wanted: bool,
        pub created_ms: Timestamp,
        pub started_ms: Option<Timestamp>,
        pub finished_ms: Option<Timestamp>,
    }
}

/// What a new deployment is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewDeployment<'a> {
    pub environment_id: i64,
    pub project_id: ProjectId,
    pub pipeline_id: PipelineId,
    pub job_id: JobId,
    pub job_name: &'a str,
    pub ref_kind: &'a str,
    pub ref_name: &'a str,
    pub sha: &'a str,
    pub stop_job_id: Option<JobId>,
}

/// The status of a deployment whose job waits for a runner, the one that SQL text here makes.
const CREATED: &str = "created";
/// The status of one whose job has succeeded.
const SUCCESS: &str = "success";

/// # Errors
/// When the database fails.
pub fn create(tx: &mut Tx, new: &NewDeployment<'_>, now: Timestamp) -> Result<i64> {
    tx.query_opt(
        "INSERT INTO deployments (environment_id, project_id, pipeline_id, job_id, job_name, ref_kind, ref_name, sha,
                status, stop_job_id, url_wanted, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11) RETURNING id",
        params![
            new.environment_id,
            new.project_id,
            new.pipeline_id,
            new.job_id,
            new.job_name,
            new.ref_kind,
            new.ref_name,
            new.sha,
            CREATED,
            new.stop_job_id,
            now
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing {
        what: "deployment",
        id: 0,
    })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Deployment>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// The newest deployment of a job.
///
/// # Errors
/// When the database fails.
pub fn of_job(tx: &mut Tx, job: JobId) -> Result<Option<Deployment>> {
    tx.select_opt("WHERE job_id = $1 ORDER BY id DESC LIMIT 1", params![job])
}

/// A page of an environment's deployments, newest first; `before` is the id of the last one of the page before.
///
/// # Errors
/// When the database fails.
pub fn page(tx: &mut Tx, environment: i64, before: Option<i64>, limit: u32) -> Result<Vec<Deployment>> {
    tx.select(
        "WHERE environment_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        params![environment, before.unwrap_or(i64::MAX), limit],
    )
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub status: &'a str,
    pub started_ms: Option<Timestamp>,
    pub finished_ms: Option<Timestamp>,
    /// Its url is to be made of what the job left.
    pub url_wanted: bool,
}

/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: i64, new: &Change<'_>) -> Result<()> {
    tx.exec(
        "UPDATE deployments SET status = $2, started_ms = $3, finished_ms = $4, url_wanted = $5 WHERE id = $1",
        params![id, new.status, new.started_ms, new.finished_ms, new.url_wanted],
    )?;
    Ok(())
}

/// Jobs that stop an environment, whose newest successful deployment is `last`: those that it names, and those of other
/// deployments of its pipeline.
///
/// # Errors
/// When the database fails.
pub fn stop_jobs(tx: &mut Tx, last: &Deployment) -> Result<Vec<JobId>> {
    tx.query(
        "SELECT DISTINCT stop_job_id FROM deployments
         WHERE environment_id = $1 AND pipeline_id = $2 AND status = $3 AND stop_job_id IS NOT NULL
         ORDER BY stop_job_id",
        params![last.environment_id, last.pipeline_id, SUCCESS],
        |row| row.take(),
    )
}

/// Jobs of older pipelines that wait to deploy another commit to the environment, now that `newest` has. Jobs that have
/// deployed before are not among them: somebody repeats them to go back.
///
/// # Errors
/// When the database fails.
pub fn overtaken(tx: &mut Tx, newest: &Deployment) -> Result<Vec<JobId>> {
    tx.query(
        "SELECT d.job_id FROM deployments AS d
         WHERE d.environment_id = $1 AND d.status = $2 AND d.pipeline_id < $3 AND d.sha <> $4
           AND NOT EXISTS (SELECT 1 FROM deployments AS o WHERE o.job_id = d.job_id AND o.id < d.id)
         ORDER BY d.id",
        params![newest.environment_id, CREATED, newest.pipeline_id, &newest.sha],
        |row| row.take(),
    )
}

/// Deployments whose url is still to be made, oldest first.
///
/// # Errors
/// When the database fails.
pub fn url_wanted(tx: &mut Tx, limit: u32) -> Result<Vec<Deployment>> {
    tx.select("WHERE url_wanted = 1 ORDER BY id LIMIT $1", params![limit])
}

/// The url is made (or cannot be). `false`: that was done before.
///
/// # Errors
/// When the database fails.
pub fn set_url(tx: &mut Tx, id: i64, url: Option<&str>) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE deployments SET url = $2, url_wanted = 0 WHERE id = $1 AND url_wanted = 1",
        params![id, url],
    )?;
    Ok(rows == 1)
}
