//! Caches: files that later tasks of the same project may find again, or may not.

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::{Value, params};
use crate::{Error, Result, Tx};

record! {
    /// A cache.
    pub struct Cache in caches {
        pub id: i64,
        pub project_id: ProjectId,
        /// With the trust level of the ref in it.
        pub key: String,
        /// Bytes.
        pub size: i64,
        /// Hex.
        pub sha256: String,
        pub blob_key: String,
        pub created_ms: Timestamp,
        pub used_ms: Timestamp,
    }
}

/// What a new cache is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewCache<'a> {
    pub project_id: ProjectId,
    pub key: &'a str,
    pub size: i64,
    pub sha256: &'a str,
    pub blob_key: &'a str,
}

/// Notes a cache; one with the same key is replaced, its content becomes trash.
///
/// # Errors
/// When the database fails.
pub fn put(tx: &mut Tx, new: &NewCache<'_>, now: Timestamp) -> Result<i64> {
    tx.exec(
        "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($3 AS BIGINT) FROM caches
         WHERE project_id = $1 AND key = $2 AND blob_key <> $4
         ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        params![new.project_id, new.key, now, new.blob_key],
    )?;
    tx.query_opt(
        "INSERT INTO caches (project_id, key, size, sha256, blob_key, created_ms, used_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $6)
         ON CONFLICT (project_id, key) DO UPDATE
         SET size = excluded.size, sha256 = excluded.sha256, blob_key = excluded.blob_key,
             created_ms = excluded.created_ms, used_ms = excluded.used_ms
         RETURNING id",
        params![new.project_id, new.key, new.size, new.sha256, new.blob_key, now],
        |row| row.take(),
    )?
    .ok_or(Error::Missing { what: "cache", id: 0 })
}

/// The cache with exactly that key.
///
/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, project: ProjectId, key: &str) -> Result<Option<Cache>> {
    tx.select_opt("WHERE project_id = $1 AND key = $2", params![project, key])
}

/// The newest cache whose key starts with `prefix` (CircleCI and GitHub restore keys).
///
/// # Errors
/// When the database fails.
pub fn newest_with_prefix(tx: &mut Tx, project: ProjectId, prefix: &str) -> Result<Option<Cache>> {
    tx.select_opt(
        "WHERE project_id = $1 AND substr(key, 1, length($2)) = $2 ORDER BY created_ms DESC, id DESC LIMIT 1",
        params![project, prefix],
    )
}

/// Notes that caches were used.
///
/// # Errors
/// When the database fails.
pub fn touch_all(tx: &mut Tx, used: &[(i64, Timestamp)]) -> Result<()> {
    let values: Vec<Value<'_>> = used
        .iter()
        .flat_map(|(id, at)| [Value::Int(*id), Value::from(*at)])
        .collect();
    tx.update_all(
        "caches",
        "used_ms = v.column2",
        &["BIGINT", "BIGINT"],
        &values,
        "WHERE caches.id = v.column1 AND caches.used_ms < v.column2",
    )?;
    Ok(())
}

/// All caches, least recently used first.
///
/// # Errors
/// When the database fails.
pub fn by_use(tx: &mut Tx) -> Result<Vec<Cache>> {
    tx.select("ORDER BY used_ms, id", params![])
}

/// Bytes of all caches, by project.
///
/// # Errors
/// When the database fails.
pub fn sizes(tx: &mut Tx) -> Result<Vec<(ProjectId, i64)>> {
    tx.query(
        "SELECT project_id, CAST(SUM(size) AS BIGINT) FROM caches GROUP BY project_id ORDER BY project_id",
        params![],
        |row| Ok((row.take()?, row.take()?)),
    )
}

/// Removes a cache unless it was replaced meanwhile; its content becomes trash.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, cache: &Cache, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "DELETE FROM caches WHERE id = $1 AND blob_key = $2",
        params![cache.id, &cache.blob_key],
    )?;
    if rows == 1 {
        super::blobs::discard(tx, &[&cache.blob_key], now)?;
    }
    Ok(rows == 1)
}

/// Removes all caches of a project (a person asked for it); gives how many.
///
/// # Errors
/// When the database fails.
pub fn clear(tx: &mut Tx, project: ProjectId, now: Timestamp) -> Result<u64> {
    tx.exec(
        "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($2 AS BIGINT) FROM caches WHERE project_id = $1
         ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        params![project, now],
    )?;
    tx.exec("DELETE FROM caches WHERE project_id = $1", params![project])
}
