//! Pipelines that start by the clock.

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A schedule.
    pub struct Schedule in schedules {
        pub id: i64,
        pub project_id: ProjectId,
        pub description: String,
        /// Five fields.
        pub cron: String,
        /// IANA name.
        pub time_zone: String,
        pub ref_name: String,
        /// Encrypted JSON.
        pub variables_sealed: String,
        pub inputs_json: String,
        /// Login, name, e-mail of its owner, as JSON.
        pub owner_json: Option<String>,
        pub active: bool,
        /// `None`: never (inactive).
        pub next_ms: Option<Timestamp>,
        pub last_pipeline_id: Option<PipelineId>,
        pub last_outcome: Option<String>,
        pub created_ms: Timestamp,
        pub updated_ms: Timestamp,
    }
}

/// What a person sets of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    pub description: &'a str,
    pub cron: &'a str,
    pub time_zone: &'a str,
    pub ref_name: &'a str,
    pub variables_sealed: &'a str,
    pub inputs_json: &'a str,
    pub active: bool,
    pub next_ms: Option<Timestamp>,
}

/// # Errors
/// When the database fails.
pub fn create(
    tx: &mut Tx,
    project: ProjectId,
    owner_json: Option<&str>,
    new: &Settings<'_>,
    now: Timestamp,
) -> Result<i64> {
    tx.query_opt(
        "INSERT INTO schedules (project_id, description, cron, time_zone, ref_name, variables_sealed, inputs_json,
                owner_json, active, next_ms, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id",
        params![
            project,
            new.description,
            new.cron,
            new.time_zone,
            new.ref_name,
            new.variables_sealed,
            new.inputs_json,
            owner_json,
            new.active,
            new.next_ms,
            now
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing {
        what: "schedule",
        id: 0,
    })
}

/// Changes what a person sets. `false`: there is no such schedule.
///
/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: i64, new: &Settings<'_>, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE schedules SET description = $2, cron = $3, time_zone = $4, ref_name = $5, variables_sealed = $6,
             inputs_json = $7, active = $8, next_ms = $9, updated_ms = $10
         WHERE id = $1",
        params![
            id,
            new.description,
            new.cron,
            new.time_zone,
            new.ref_name,
            new.variables_sealed,
            new.inputs_json,
            new.active,
            new.next_ms,
            now
        ],
    )?;
    Ok(rows == 1)
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Schedule>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn of_project(tx: &mut Tx, project: ProjectId) -> Result<Vec<Schedule>> {
    tx.select("WHERE project_id = $1 ORDER BY id", params![project])
}

/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(tx.exec("DELETE FROM schedules WHERE id = $1", params![id])? == 1)
}

/// Those whose time has come, oldest first.
///
/// # Errors
/// When the database fails.
pub fn due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<Schedule>> {
    tx.select(
        "WHERE next_ms IS NOT NULL AND next_ms <= $1 ORDER BY next_ms, id LIMIT $2",
        params![now, limit],
    )
}

/// When the next one is due.
///
/// # Errors
/// When the database fails.
pub fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    let next: Option<Option<Timestamp>> = tx.query_opt(
        "SELECT MIN(next_ms) FROM schedules WHERE next_ms IS NOT NULL",
        &[],
        |row| row.take(),
    )?;
    Ok(next.flatten())
}

/// The turn of `from` was taken; the next one is at `next`. `false`: somebody changed the schedule meanwhile.
///
/// # Errors
/// When the database fails.
pub fn ran(
    tx: &mut Tx,
    id: i64,
    from: Timestamp,
    next: Option<Timestamp>,
    pipeline: Option<PipelineId>,
    outcome: &str,
) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE schedules SET next_ms = $3, last_pipeline_id = COALESCE($4, last_pipeline_id), last_outcome = $5
         WHERE id = $1 AND next_ms = $2",
        params![id, from, next, pipeline, outcome],
    )?;
    Ok(rows == 1)
}
