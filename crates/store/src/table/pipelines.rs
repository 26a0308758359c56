//! Pipelines: the row that changes, and the details that do not.

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use super::State;
use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A pipeline.
    pub struct Pipeline in pipelines {
        pub id: PipelineId,
        pub project_id: ProjectId,
        /// Counts up within the project.
        pub iid: i64,
        pub idempotency_key: Option<String>,
        /// `CI_PIPELINE_SOURCE`.
        pub source: String,
        /// `branch`, `tag`, `merge_request`.
        pub ref_kind: String,
        /// Short name of the ref.
        pub ref_name: String,
        pub sha: String,
        /// First line of the commit's message.
        pub title: String,
        pub author: String,
        /// Its own name, where the configuration gives one.
        pub name: Option<String>,
        pub state: String,
        pub state_json: String,
        /// Counts every change of the pipeline and of anything in it.
        pub version: i64,
        /// Higher goes first.
        pub priority: i64,
        pub job_count: i64,
        /// Retention never takes it.
        pub kept: bool,
        pub created_ms: Timestamp,
        pub started_ms: Option<Timestamp>,
        pub finished_ms: Option<Timestamp>,
    }
}

record! {
    /// What is known of a pipeline from the start and never changes.
    pub struct Details in pipeline_details {
        pub pipeline_id: PipelineId,
        pub trigger_json: String,
        /// The Plan without its jobs.
        pub plan_json: String,
        pub diagnostics_json: String,
    }
}

/// What a new pipeline is made of. Its version starts at 1.
#[derive(Debug, Clone, Copy)]
pub struct NewPipeline<'a> {
    pub project_id: ProjectId,
    pub idempotency_key: Option<&'a str>,
    pub source: &'a str,
    pub ref_kind: &'a str,
    pub ref_name: &'a str,
    pub sha: &'a str,
    pub title: &'a str,
    pub author: &'a str,
    pub name: Option<&'a str>,
    pub state: State<'a>,
    pub priority: i64,
    pub job_count: i64,
    pub trigger_json: &'a str,
    pub plan_json: &'a str,
    pub diagnostics_json: &'a str,
    /// Set for one that is finished from the start (invalid configuration).
    pub finished_ms: Option<Timestamp>,
}

/// What [`create`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New {
        id: PipelineId,
        iid: i64,
    },
    /// A pipeline with that idempotency key exists; nothing was made.
    Existing(PipelineId),
}

/// Makes a pipeline, or finds the one that the same idempotency key made before.
///
/// # Errors
/// [`Error::Missing`] when there is no such project.
pub fn create(tx: &mut Tx, new: &NewPipeline<'_>, now: Timestamp) -> Result<Created> {
    // The project's row is locked from here on, so creations of one project go one by one on PostgreSQL
    // too and the look-up of the key below cannot miss one that is under way.
    let iid: i64 = tx
        .query_opt(
            "UPDATE projects SET last_iid = last_iid + 1 WHERE id = $1 RETURNING last_iid",
            params![new.project_id],
            |row| row.take(),
        )?
        .ok_or(Error::Missing {
            what: "project",
            id: new.project_id.0,
        })?;
    if let Some(key) = new.idempotency_key
        && let Some(existing) = by_idempotency_key(tx, key)?
    {
        tx.exec(
            "UPDATE projects SET last_iid = last_iid - 1 WHERE id = $1",
            params![new.project_id],
        )?;
        return Ok(Created::Existing(existing));
    }
    let id: PipelineId = tx
        .query_opt(
            "INSERT INTO pipelines (project_id, iid, idempotency_key, source, ref_kind, ref_name, sha, title, author,
                    name, state, state_json, version, priority, job_count, kept, created_ms, finished_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, 0, $15, $16) RETURNING id",
            params![
                new.project_id,
                iid,
                new.idempotency_key,
                new.source,
                new.ref_kind,
                new.ref_name,
                new.sha,
                new.title,
                new.author,
                new.name,
                new.state.tag,
                new.state.json,
                new.priority,
                new.job_count,
                now,
                new.finished_ms
            ],
            |row| row.take(),
        )?
        .ok_or(Error::Missing {
            what: "pipeline",
            id: 0,
        })?;
    tx.exec(
        "INSERT INTO pipeline_details (pipeline_id, trigger_json, plan_json, diagnostics_json)
         VALUES ($1, $2, $3, $4)",
        params![id, new.trigger_json, new.plan_json, new.diagnostics_json],
    )?;
    Ok(Created::New { id, iid })
}

/// The pipeline that a trigger with this key made.
///
/// # Errors
/// When the database fails.
pub fn by_idempotency_key(tx: &mut Tx, key: &str) -> Result<Option<PipelineId>> {
    tx.query_opt(
        "SELECT id FROM pipelines WHERE idempotency_key = $1",
        params![key],
        |row| row.take(),
    )
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: PipelineId) -> Result<Option<Pipeline>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn by_iid(tx: &mut Tx, project: ProjectId, iid: i64) -> Result<Option<Pipeline>> {
    tx.select_opt("WHERE project_id = $1 AND iid = $2", params![project, iid])
}

/// # Errors
/// When the database fails.
pub fn details(tx: &mut Tx, id: PipelineId) -> Result<Option<Details>> {
    tx.select_opt("WHERE pipeline_id = $1", params![id])
}

/// Only the version: to see whether something that was read before still holds.
///
/// # Errors
/// When the database fails.
pub fn version(tx: &mut Tx, id: PipelineId) -> Result<Option<i64>> {
    tx.query_opt("SELECT version FROM pipelines WHERE id = $1", params![id], |row| {
        row.take()
    })
}

/// Which pipelines a page shows, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    pub project: Option<ProjectId>,
    /// Only with `project`.
    pub ref_name: Option<&'a str>,
    /// The id of the last one of the page before.
    pub before: Option<PipelineId>,
}

/// Pipelines, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx, filter: &Filter<'_>, limit: u32) -> Result<Vec<Pipeline>> {
    let before = filter.before.unwrap_or(PipelineId(i64::MAX));
    match (filter.project, filter.ref_name) {
        (Some(project), Some(name)) => tx.select(
            "WHERE project_id = $1 AND ref_name = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
            params![project, name, before, limit],
        ),
        (Some(project), None) => tx.select(
            "WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            params![project, before, limit],
        ),
        (None, _) => tx.select("WHERE id < $1 ORDER BY id DESC LIMIT $2", params![before, limit]),
    }
}

/// All pipelines that are not finished, oldest first. Costs what is live, not what is history.
///
/// # Errors
/// When the database fails.
pub fn live(tx: &mut Tx) -> Result<Vec<Pipeline>> {
    tx.select("WHERE finished_ms IS NULL ORDER BY id", params![])
}

/// Those of one ref that are not finished, oldest first: what a newer one may cancel.
///
/// # Errors
/// When the database fails.
pub fn live_of_ref(tx: &mut Tx, project: ProjectId, ref_name: &str) -> Result<Vec<Pipeline>> {
    tx.select(
        "WHERE finished_ms IS NULL AND project_id = $1 AND ref_name = $2 ORDER BY id",
        params![project, ref_name],
    )
}

/// Counts the version up from `version`: the compare-and-swap that every change of anything in the
/// pipeline goes through. `false`: somebody was faster, read again.
///
/// # Errors
/// When the database fails.
pub fn advance(tx: &mut Tx, id: PipelineId, version: i64) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE pipelines SET version = version + 1 WHERE id = $1 AND version = $2",
        params![id, version],
    )?;
    Ok(rows == 1)
}

/// A change of the pipeline's own state.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub state: State<'a>,
    pub started_ms: Option<Timestamp>,
    pub finished_ms: Option<Timestamp>,
}

/// [`advance`] together with a new state.
///
/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: PipelineId, version: i64, change: &Change<'_>) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE pipelines SET version = version + 1, state = $3, state_json = $4, started_ms = $5, finished_ms = $6
         WHERE id = $1 AND version = $2",
        params![
            id,
            version,
            change.state.tag,
            change.state.json,
            change.started_ms,
            change.finished_ms
        ],
    )?;
    Ok(rows == 1)
}

/// More jobs than at the start (a late matrix, a continuation).
///
/// # Errors
/// When the database fails.
pub fn add_job_count(tx: &mut Tx, id: PipelineId, more: i64) -> Result<()> {
    tx.exec(
        "UPDATE pipelines SET job_count = job_count + $2 WHERE id = $1",
        params![id, more],
    )?;
    Ok(())
}

/// Whether retention may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Forever,
    ByPolicy,
}

/// # Errors
/// When the database fails.
pub fn set_keep(tx: &mut Tx, id: PipelineId, keep: Keep) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE pipelines SET kept = $2 WHERE id = $1",
        params![id, keep == Keep::Forever],
    )?;
    Ok(rows == 1)
}
