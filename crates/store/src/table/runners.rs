//! Runners (registrations) and their managers (processes).

use tasuki_model::id::{ProjectId, ResourceClassId, RunnerId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::{Value, params};
use crate::{Error, Result, Tx};

record! {
    /// A runner's registration.
    pub struct Runner in runners {
        pub id: RunnerId,
        /// SHA-256 of its token, hex.
        pub token_hash: String,
        pub description: String,
        /// `instance` or `project`.
        pub scope: String,
        pub project_id: Option<ProjectId>,
        pub resource_class_id: Option<ResourceClassId>,
        /// JSON array of texts.
        pub tags_json: String,
        pub run_untagged: bool,
        pub locked: bool,
        pub paused: bool,
        /// `not_protected` or `ref_protected`.
        pub access_level: String,
        pub maximum_timeout_s: Option<i64>,
        pub maintenance_note: String,
        pub created_ms: Timestamp,
        pub token_expires_ms: Option<Timestamp>,
        pub contact_ms: Option<Timestamp>,
    }
}

record! {
    /// A process behind a runner's token.
    pub struct Manager in managers {
        pub runner_id: RunnerId,
        pub system_id: String,
        /// The `info` object of the runner protocol.
        pub info_json: String,
        pub address: String,
        pub created_ms: Timestamp,
        pub contact_ms: Timestamp,
    }
}

/// What a new runner is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewRunner<'a> {
    pub token_hash: &'a str,
    pub description: &'a str,
    pub scope: &'a str,
    pub project_id: Option<ProjectId>,
    pub resource_class_id: Option<ResourceClassId>,
    pub tags_json: &'a str,
    pub run_untagged: bool,
    pub locked: bool,
    pub paused: bool,
    pub access_level: &'a str,
    pub maximum_timeout_s: Option<i64>,
    pub maintenance_note: &'a str,
    pub token_expires_ms: Option<Timestamp>,
}

/// # Errors
/// [`Error::Duplicate`] when the token is taken.
pub fn create(tx: &mut Tx, new: &NewRunner<'_>, now: Timestamp) -> Result<RunnerId> {
    tx.query_opt(
        "INSERT INTO runners (token_hash, description, scope, project_id, resource_class_id, tags_json, run_untagged,
                locked, paused, access_level, maximum_timeout_s, maintenance_note, token_expires_ms, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id",
        params![
            new.token_hash,
            new.description,
            new.scope,
            new.project_id,
            new.resource_class_id,
            new.tags_json,
            new.run_untagged,
            new.locked,
            new.paused,
            new.access_level,
            new.maximum_timeout_s,
            new.maintenance_note,
            new.token_expires_ms,
            now
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing { what: "runner", id: 0 })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: RunnerId) -> Result<Option<Runner>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn by_token_hash(tx: &mut Tx, hash: &str) -> Result<Option<Runner>> {
    tx.select_opt("WHERE token_hash = $1", params![hash])
}

/// All runners, by id.
///
/// # Errors
/// When the database fails.
pub fn all(tx: &mut Tx) -> Result<Vec<Runner>> {
    tx.select("ORDER BY id", params![])
}

/// Saves what a person may change of a runner (everything but id, token and contact).
///
/// # Errors
/// When the database fails.
pub fn update(tx: &mut Tx, runner: &Runner) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE runners SET description = $2, scope = $3, project_id = $4, resource_class_id = $5, tags_json = $6,
                run_untagged = $7, locked = $8, paused = $9, access_level = $10, maximum_timeout_s = $11,
                maintenance_note = $12
         WHERE id = $1",
        params![
            runner.id,
            &runner.description,
            &runner.scope,
            runner.project_id,
            runner.resource_class_id,
            &runner.tags_json,
            runner.run_untagged,
            runner.locked,
            runner.paused,
            &runner.access_level,
            runner.maximum_timeout_s,
            &runner.maintenance_note
        ],
    )?;
    Ok(rows == 1)
}

/// Gives a runner another token; the old one is worthless at once.
///
/// # Errors
/// When the database fails.
pub fn set_token(tx: &mut Tx, id: RunnerId, token_hash: &str, expires_ms: Option<Timestamp>) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE runners SET token_hash = $2, token_expires_ms = $3 WHERE id = $1",
        params![id, token_hash, expires_ms],
    )?;
    Ok(rows == 1)
}

/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: RunnerId) -> Result<bool> {
    Ok(tx.exec("DELETE FROM runners WHERE id = $1", params![id])? == 1)
}

/// Notes what a process behind a runner's token says of itself.
///
/// # Errors
/// When the database fails.
pub fn set_manager(
    tx: &mut Tx,
    runner: RunnerId,
    system_id: &str,
    info_json: &str,
    address: &str,
    now: Timestamp,
) -> Result<()> {
    tx.exec(
        "INSERT INTO managers (runner_id, system_id, info_json, address, created_ms, contact_ms)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (runner_id, system_id) DO UPDATE
         SET info_json = excluded.info_json, address = excluded.address, contact_ms = excluded.contact_ms",
        params![runner, system_id, info_json, address, now],
    )?;
    Ok(())
}

/// All processes of a runner, newest contact first.
///
/// # Errors
/// When the database fails.
pub fn managers(tx: &mut Tx, runner: RunnerId) -> Result<Vec<Manager>> {
    tx.select(
        "WHERE runner_id = $1 ORDER BY contact_ms DESC, system_id",
        params![runner],
    )
}

/// All processes of all runners.
///
/// # Errors
/// When the database fails.
pub fn all_managers(tx: &mut Tx) -> Result<Vec<Manager>> {
    tx.select("ORDER BY runner_id, system_id", params![])
}

/// # Errors
/// When the database fails.
pub fn remove_manager(tx: &mut Tx, runner: RunnerId, system_id: &str) -> Result<bool> {
    let rows = tx.exec(
        "DELETE FROM managers WHERE runner_id = $1 AND system_id = $2",
        params![runner, system_id],
    )?;
    Ok(rows == 1)
}

/// Notes when runners and their processes were last heard of, in one batch.
///
/// # Errors
/// When the database fails.
pub fn touch_all(tx: &mut Tx, seen: &[(RunnerId, &str, Timestamp)]) -> Result<()> {
    let managers: Vec<Value<'_>> = seen
        .iter()
        .flat_map(|(id, system, at)| [Value::from(*id), Value::Text(system), Value::from(*at)])
        .collect();
    tx.update_all(
        "managers",
        "contact_ms = v.column3",
        &["BIGINT", "TEXT", "BIGINT"],
        &managers,
        "WHERE managers.runner_id = v.column1 AND managers.system_id = v.column2",
    )?;
    let mut newest = std::collections::BTreeMap::new();
    for (id, _, at) in seen {
        newest
            .entry(*id)
            .and_modify(|old: &mut Timestamp| *old = (*old).max(*at))
            .or_insert(*at);
    }
    let runners: Vec<Value<'_>> = newest
        .iter()
        .flat_map(|(id, at)| [Value::from(*id), Value::from(*at)])
        .collect();
    tx.update_all(
        "runners",
        "contact_ms = v.column2",
        &["BIGINT", "BIGINT"],
        &runners,
        "WHERE runners.id = v.column1",
    )?;
    Ok(())
}
