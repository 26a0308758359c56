//! Pages: folders of archives that are shown to people.

use tasuki_model::id::{JobId, PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use super::artifacts::Artifact;
use crate::row::record;
use crate::value::params;
use crate::{Result, Tx};

record! {
    /// What is shown at one place of a project.
    pub struct Pages in pages {
        pub id: i64,
        pub project_id: ProjectId,
        /// Part of a path; empty at the top.
        pub prefix: String,
        /// It may be gone.
        pub pipeline_id: PipelineId,
        /// It may be gone.
        pub job_id: JobId,
        /// In the archive.
        pub folder: String,
        /// Bytes of the archive.
        pub size: i64,
        /// Of the archive, hex.
        pub sha256: String,
        /// Of the archive, which is kept for as long as it is named here.
        pub blob_key: String,
        pub created_ms: Timestamp,
        /// Absent: until others take their place.
        pub expires_ms: Option<Timestamp>,
    }
}

/// Shows a folder of an archive at a place of its project, in place of what was there. `false`: what is there comes
/// from a newer pipeline, and stays.
///
/// # Errors
/// When the database fails.
pub fn publish(
    tx: &mut Tx,
    archive: &Artifact,
    prefix: &str,
    folder: &str,
    expires_ms: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool> {
    let rows = tx.exec(
        "INSERT INTO pages (project_id, prefix, pipeline_id, job_id, folder, size, sha256, blob_key, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (project_id, prefix) DO UPDATE
         SET pipeline_id = excluded.pipeline_id, job_id = excluded.job_id, folder = excluded.folder,
             size = excluded.size, sha256 = excluded.sha256, blob_key = excluded.blob_key,
             created_ms = excluded.created_ms, expires_ms = excluded.expires_ms
         WHERE pages.pipeline_id <= excluded.pipeline_id",
        params![
            archive.project_id,
            prefix,
            archive.pipeline_id,
            archive.job_id,
            folder,
            archive.size,
            &archive.sha256,
            &archive.blob_key,
            now,
            expires_ms
        ],
    )?;
    Ok(rows == 1)
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Pages>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// What is shown at a place of a project.
///
/// # Errors
/// When the database fails.
pub fn at(tx: &mut Tx, project: ProjectId, prefix: &str, now: Timestamp) -> Result<Option<Pages>> {
    tx.select_opt(
        "WHERE project_id = $1 AND prefix = $2 AND (expires_ms IS NULL OR expires_ms > $3)",
        params![project, prefix, now],
    )
}

/// All that a project shows, by place; `after` is the place of the last one of the page before.
///
/// # Errors
/// When the database fails.
pub fn page(tx: &mut Tx, project: ProjectId, after: Option<&str>, limit: u32, now: Timestamp) -> Result<Vec<Pages>> {
    tx.select(
        "WHERE project_id = $1 AND (prefix > $2 OR CAST($3 AS BIGINT) = 0) AND (expires_ms IS NULL OR expires_ms > $4)
         ORDER BY prefix LIMIT $5",
        params![
            project,
            after.unwrap_or_default(),
            i64::from(after.is_some()),
            now,
            limit
        ],
    )
}

/// Shows it no more. Its archive goes if no artifact has it any longer.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(tx.exec("DELETE FROM pages WHERE id = $1", params![id])? == 1)
}

/// Removes what has expired.
///
/// # Errors
/// When the database fails.
pub fn expire(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.exec(
        "DELETE FROM pages WHERE expires_ms IS NOT NULL AND expires_ms <= $1",
        params![now],
    )?;
    Ok(())
}
