//! Which pipelines may go, and how they go: in small steps, so that nobody waits behind a large one.

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use crate::value::params;
use crate::{Result, Tx};

/// A pipeline stays for as long as it has the job that stops an environment.
const STOPS_NOTHING: &str =
    "NOT EXISTS (SELECT 1 FROM deployments AS d JOIN environments AS e ON e.last_deployment_id = d.id
           WHERE d.pipeline_id = pipelines.id AND d.stop_job_id IS NOT NULL AND e.state <> 'stopped')";

/// Finished pipelines that ended before `before`, oldest first. Those that are kept on purpose, and those that are
/// needed to stop an environment, are not among them.
///
/// # Errors
/// When the database fails.
pub fn older(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<Vec<PipelineId>> {
    tx.query(
        &format!(
            "SELECT id FROM pipelines
             WHERE finished_ms IS NOT NULL AND finished_ms < $1 AND kept = 0 AND {STOPS_NOTHING}
             ORDER BY finished_ms LIMIT $2"
        ),
        params![before, limit],
        |row| row.take(),
    )
}

/// Finished pipelines of a project behind its `newest` newest ones, oldest first. Those that are kept on purpose, and
/// those that are needed to stop an environment, are not among them.
///
/// # Errors
/// When the database fails.
pub fn beyond(tx: &mut Tx<'_>, project: ProjectId, newest: u32, limit: u32) -> Result<Vec<PipelineId>> {
    tx.query(
        &format!(
            "SELECT id FROM pipelines
             WHERE project_id = $1 AND finished_ms IS NOT NULL AND kept = 0 AND {STOPS_NOTHING}
               AND id <= (SELECT p.id FROM pipelines AS p WHERE p.project_id = $1 ORDER BY p.id DESC LIMIT 1 OFFSET $2)
             ORDER BY id LIMIT $3"
        ),
        params![project, newest, limit],
        |row| row.take(),
    )
}

/// Removes up to `limit` tasks of a finished pipeline with their logs and artifacts, and the pipeline itself with
/// the last ones; stored bytes become trash. `true`: something is left, call again.
///
/// # Errors
/// When the database fails.
pub fn remove_some(tx: &mut Tx<'_>, id: PipelineId, limit: u32, now: Timestamp) -> Result<bool> {
    let lock = if tx.is_postgres() { "FOR UPDATE" } else { "" };
    let finished = tx.query_opt(
        &format!(
            "SELECT 1 FROM pipelines
             WHERE id = $1 AND finished_ms IS NOT NULL AND kept = 0 AND {STOPS_NOTHING} {lock}"
        ),
        params![id],
        |row| row.take::<i64>(),
    )?;
    if finished.is_none() {
        // Somebody retried it, wants to keep it, deployed with it, or was faster.
        return Ok(false);
    }
    let tasks: Vec<i64> = tx.query(
        "SELECT id FROM tasks WHERE pipeline_id = $1 ORDER BY job_id, id LIMIT $2",
        params![id, limit],
        |row| row.take(),
    )?;
    for task in &tasks {
        for (table, column) in [
            ("artifacts", "artifacts.task_id"),
            ("log_segments", "log_segments.task_id"),
        ] {
            tx.exec(
                &format!(
                    "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($2 AS BIGINT) FROM {table}
                     WHERE {column} = $1 AND blob_key IS NOT NULL
                     ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms"
                ),
                params![*task, now],
            )?;
        }
        tx.exec("DELETE FROM tasks WHERE id = $1", params![*task])?;
    }
    if tasks.len() == limit as usize {
        return Ok(true);
    }
    let jobs = tx.exec(
        "DELETE FROM jobs WHERE id IN (SELECT j.id FROM jobs AS j WHERE j.pipeline_id = $1 ORDER BY j.idx LIMIT $2)",
        params![id, limit],
    )?;
    if jobs == u64::from(limit) {
        return Ok(true);
    }
    tx.exec("DELETE FROM pipelines WHERE id = $1", params![id])?;
    Ok(false)
}
