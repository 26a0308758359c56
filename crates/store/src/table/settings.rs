//! Small things that the instance remembers, by name.

use crate::value::params;
use crate::{Result, Tx};

/// The value kept under `key`.
///
/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, key: &str) -> Result<Option<String>> {
    tx.query_opt("SELECT value FROM settings WHERE key = $1", params![key], |row| {
        row.take()
    })
}

/// Keeps `value` under `key`, replacing what was there.
///
/// # Errors
/// When the database fails.
pub fn set(tx: &mut Tx, key: &str, value: &str) -> Result<()> {
    tx.exec(
        "INSERT INTO settings (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )?;
    Ok(())
}

/// Keeps `value` under `key` unless something is there; gives what is there then.
///
/// # Errors
/// When the database fails.
pub fn set_once(tx: &mut Tx, key: &str, value: &str) -> Result<String> {
    tx.exec(
        "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        params![key, value],
    )?;
    Ok(get(tx, key)?.unwrap_or_else(|| value.to_owned()))
}

/// Forgets `key`.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, key: &str) -> Result<()> {
    tx.exec("DELETE FROM settings WHERE key = $1", params![key])?;
    Ok(())
}
