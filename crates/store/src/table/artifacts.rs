//! Files that tasks left.

use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A file that a task left.
    pub struct Artifact in artifacts {
        pub id: i64,
        pub task_id: TaskId,
        pub job_id: JobId,
        pub pipeline_id: PipelineId,
        pub project_id: ProjectId,
        /// `archive`, `metadata`, `junit`, `dotenv`, …
        pub kind: String,
        /// `zip`, `gzip`, `raw`.
        pub format: String,
        pub filename: String,
        /// Bytes.
        pub size: i64,
        /// Hex.
        pub sha256: String,
        pub blob_key: String,
        /// `public`, `developer`, `maintainer`, `none`.
        pub access: String,
        pub created_ms: Timestamp,
        /// Absent: kept for ever.
        pub expires_ms: Option<Timestamp>,
    }
}

/// What a new artifact is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewArtifact<'a> {
    pub task_id: TaskId,
    pub job_id: JobId,
    pub pipeline_id: PipelineId,
    pub project_id: ProjectId,
    pub kind: &'a str,
    pub format: &'a str,
    pub filename: &'a str,
    pub size: i64,
    pub sha256: &'a str,
    pub blob_key: &'a str,
    pub access: &'a str,
    pub expires_ms: Option<Timestamp>,
}

/// Notes an artifact; one of the same task, kind and name is replaced, its content becomes trash.
///
/// # Errors
/// When the database fails.
pub fn put(tx: &mut Tx, new: &NewArtifact<'_>, now: Timestamp) -> Result<i64> {
    tx.exec(
        "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($4 AS BIGINT) FROM artifacts
         WHERE task_id = $1 AND kind = $2 AND filename = $3 AND blob_key <> $5
         ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        params![new.task_id, new.kind, new.filename, now, new.blob_key],
    )?;
    tx.query_opt(
        "INSERT INTO artifacts (task_id, job_id, pipeline_id, project_id, kind, format, filename, size, sha256,
                blob_key, access, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (task_id, kind, filename) DO UPDATE
         SET format = excluded.format, size = excluded.size, sha256 = excluded.sha256, blob_key = excluded.blob_key,
             access = excluded.access, created_ms = excluded.created_ms, expires_ms = excluded.expires_ms
         RETURNING id",
        params![
            new.task_id,
            new.job_id,
            new.pipeline_id,
            new.project_id,
            new.kind,
            new.format,
            new.filename,
            new.size,
            new.sha256,
            new.blob_key,
            new.access,
            now,
            new.expires_ms
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing {
        what: "artifact",
        id: 0,
    })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Artifact>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// Those of one task.
///
/// # Errors
/// When the database fails.
pub fn of_task(tx: &mut Tx, task: TaskId) -> Result<Vec<Artifact>> {
    tx.select("WHERE task_id = $1 ORDER BY kind, filename", params![task])
}

/// The one of a task with that kind.
///
/// # Errors
/// When the database fails.
pub fn of_kind(tx: &mut Tx, task: TaskId, kind: &str) -> Result<Option<Artifact>> {
    tx.select_opt(
        "WHERE task_id = $1 AND kind = $2 ORDER BY filename LIMIT 1",
        params![task, kind],
    )
}

/// Those of all tasks of a pipeline, by task.
///
/// # Errors
/// When the database fails.
pub fn of_pipeline(tx: &mut Tx, pipeline: PipelineId) -> Result<Vec<Artifact>> {
    tx.select(
        "WHERE pipeline_id = $1 ORDER BY task_id, kind, filename",
        params![pipeline],
    )
}

/// Changes when an artifact expires; `None` = never.
///
/// # Errors
/// When the database fails.
pub fn set_expiry(tx: &mut Tx, id: i64, expires_ms: Option<Timestamp>) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE artifacts SET expires_ms = $2 WHERE id = $1",
        params![id, expires_ms],
    )?;
    Ok(rows == 1)
}

/// Artifacts that have expired, earliest first.
///
/// # Errors
/// When the database fails.
pub fn expired(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<Artifact>> {
    tx.select(
        "WHERE expires_ms IS NOT NULL AND expires_ms <= $1 ORDER BY expires_ms LIMIT $2",
        params![now, limit],
    )
}

/// Removes an artifact; its content becomes trash.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, artifact: &Artifact, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "DELETE FROM artifacts WHERE id = $1 AND blob_key = $2",
        params![artifact.id, &artifact.blob_key],
    )?;
    if rows == 1 {
        super::blobs::discard(tx, &[&artifact.blob_key], now)?;
    }
    Ok(rows == 1)
}
