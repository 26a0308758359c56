//! Webhooks: stored before they are answered, worked on after.

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Result, Tx};

record! {
    /// A webhook as it came.
    pub struct Delivery in deliveries {
        pub id: i64,
        pub dedupe_key: String,
        pub forge: String,
        pub project_id: Option<ProjectId>,
        pub event: String,
        pub headers_json: String,
        pub body: Vec<u8>,
        pub received_ms: Timestamp,
        pub attempts: i64,
        /// Not worked on before this time; absent: done.
        pub due_ms: Option<Timestamp>,
        pub done_ms: Option<Timestamp>,
        pub outcome: Option<String>,
    }
}

/// A webhook as it came.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery<'a> {
    /// The same for a repeated delivery.
    pub dedupe_key: &'a str,
    pub forge: &'a str,
    pub project_id: Option<ProjectId>,
    pub event: &'a str,
    pub headers_json: &'a str,
    pub body: &'a [u8],
}

/// Stores a webhook. `None`: it was stored before.
///
/// # Errors
/// When the database fails.
pub fn insert(tx: &mut Tx, new: &NewDelivery<'_>, now: Timestamp) -> Result<Option<i64>> {
    tx.query_opt(
        "INSERT INTO deliveries (dedupe_key, forge, project_id, event, headers_json, body, received_ms, attempts,
                due_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $7) ON CONFLICT (dedupe_key) DO NOTHING RETURNING id",
        params![
            new.dedupe_key,
            new.forge,
            new.project_id,
            new.event,
            new.headers_json,
            new.body,
            now
        ],
        |row| row.take(),
    )
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Delivery>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// Takes the next webhooks that are due and puts them off until `retry`: whoever took them and dies
/// loses them to the next one then.
///
/// # Errors
/// When the database fails.
pub fn take(tx: &mut Tx, now: Timestamp, retry: Timestamp, limit: u32) -> Result<Vec<Delivery>> {
    let lock = if tx.is_postgres() { "FOR UPDATE SKIP LOCKED" } else { "" };
    let found: Vec<Delivery> = tx.select(
        &format!("WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms, id LIMIT $2 {lock}"),
        params![now, limit],
    )?;
    for delivery in &found {
        tx.exec(
            "UPDATE deliveries SET due_ms = $2, attempts = attempts + 1 WHERE id = $1",
            params![delivery.id, retry],
        )?;
    }
    Ok(found)
}

/// The webhook was worked on, for good.
///
/// # Errors
/// When the database fails.
pub fn done(tx: &mut Tx, id: i64, outcome: &str, now: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE deliveries SET due_ms = NULL, done_ms = $2, outcome = $3 WHERE id = $1",
        params![id, now, outcome],
    )?;
    Ok(())
}

/// The webhook could not be worked on; once more at `due`.
///
/// # Errors
/// When the database fails.
pub fn put_off(tx: &mut Tx, id: i64, outcome: &str, due: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE deliveries SET due_ms = $2, outcome = $3 WHERE id = $1",
        params![id, due, outcome],
    )?;
    Ok(())
}

/// When the next webhook is due.
///
/// # Errors
/// When the database fails.
pub fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    tx.query_opt(
        "SELECT MIN(due_ms) FROM deliveries WHERE due_ms IS NOT NULL",
        params![],
        |row| row.take::<Option<Timestamp>>(),
    )
    .map(Option::flatten)
}

/// The newest webhooks, `before` this id.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx, before: Option<i64>, limit: u32) -> Result<Vec<Delivery>> {
    tx.select(
        "WHERE id < $1 ORDER BY id DESC LIMIT $2",
        params![before.unwrap_or(i64::MAX), limit],
    )
}

/// Forgets webhooks that are done and older than `before`.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.exec(
        "DELETE FROM deliveries WHERE received_ms < $1 AND due_ms IS NULL",
        params![before],
    )
}
