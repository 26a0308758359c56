//! Keys of the blob store whose content is to go.
//!
//! Written in the same transaction as whatever makes the content superfluous, and before an upload
//! starts (then due much later), so that no crash leaves content that nothing names.

use tasuki_model::time::Timestamp;

use crate::value::{Value, params};
use crate::{Result, Tx};

/// Content under these keys is to be deleted once `due` has come.
///
/// # Errors
/// When the database fails.
pub fn discard(tx: &mut Tx, keys: &[&str], due: Timestamp) -> Result<()> {
    let values: Vec<Value<'_>> = keys
        .iter()
        .flat_map(|key| [Value::Text(key), Value::from(due)])
        .collect();
    tx.insert_all(
        "blob_trash (key, due_ms)",
        2,
        &values,
        "ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        |_| Ok(()),
    )?;
    Ok(())
}

/// A record names this content now: it is no trash. `false`: it was deleted, or is about to be; the
/// record must not be made then.
///
/// # Errors
/// When the database fails.
pub fn keep(tx: &mut Tx, key: &str) -> Result<bool> {
    Ok(tx.exec("DELETE FROM blob_trash WHERE key = $1 AND due_ms > 0", params![key])? == 1)
}

/// Keys that are due, earliest first. From now on nobody can [`keep`] them: whoever calls this deletes their
/// content and then calls [`forget`]; after a crash in between they come again. What pages show stays until they are
/// gone.
///
/// # Errors
/// When the database fails.
pub fn take_due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<String>> {
    let keys: Vec<String> = tx.query(
        "SELECT key FROM blob_trash WHERE due_ms <= $1
            AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.blob_key = blob_trash.key)
         ORDER BY due_ms, key LIMIT $2",
        params![now, limit],
        |row| row.take(),
    )?;
    let mut taken = Vec::with_capacity(keys.len());
    for key in keys {
        // It may have been kept since, by a transaction that committed after our first look (PostgreSQL).
        if tx.exec(
            "UPDATE blob_trash SET due_ms = 0 WHERE key = $1 AND due_ms <= $2",
            params![&key, now],
        )? == 1
        {
            taken.push(key);
        }
    }
    Ok(taken)
}

/// The content of these keys is gone.
///
/// # Errors
/// When the database fails.
pub fn forget(tx: &mut Tx, keys: &[String]) -> Result<()> {
    for key in keys {
        tx.exec("DELETE FROM blob_trash WHERE key = $1", params![key])?;
    }
    Ok(())
}

/// Every key that a record names, `after` the key of the last page, with size and SHA-256 where known:
/// what a backup must hold.
///
/// # Errors
/// When the database fails.
pub fn named(tx: &mut Tx, after: &str, limit: u32) -> Result<Vec<(String, i64, Option<String>)>> {
    tx.query(
        "SELECT blob_key, size, sha256 FROM (
            SELECT blob_key, size, sha256 FROM artifacts
            UNION SELECT blob_key, size, sha256 FROM pages
            UNION ALL SELECT blob_key, size, sha256 FROM caches
            UNION ALL SELECT blob_key, packed AS size, NULL AS sha256 FROM log_segments WHERE blob_key IS NOT NULL
         ) AS named WHERE blob_key > $1 ORDER BY blob_key LIMIT $2",
        params![after, limit],
        |row| Ok((row.take()?, row.take()?, row.take()?)),
    )
}
