//! Variables of instance, groups, projects and contexts; their values are encrypted before they come here.

use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A variable with its value encrypted.
    pub struct SealedVariable in variables {
        pub id: i64,
        /// `instance`, `group/<path>`, `project/<id>`, `context/<name>`.
        pub scope: String,
        pub key: String,
        /// `*` = every environment.
        pub environment_scope: String,
        /// Encrypted under the master key of `key_id`.
        pub sealed: Vec<u8>,
        pub key_id: String,
        pub masked: bool,
        pub protected: bool,
        pub file: bool,
        pub raw: bool,
        pub description: String,
        pub updated_ms: Timestamp,
    }
}

/// What a variable is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewVariable<'a> {
    pub scope: &'a str,
    pub key: &'a str,
    pub environment_scope: &'a str,
    pub sealed: &'a [u8],
    pub key_id: &'a str,
    pub masked: bool,
    pub protected: bool,
    pub file: bool,
    pub raw: bool,
    pub description: &'a str,
}

/// Sets a variable, replacing the one of the same scope, key and environment scope.
///
/// # Errors
/// When the database fails.
pub fn put(tx: &mut Tx, new: &NewVariable<'_>, now: Timestamp) -> Result<i64> {
    tx.query_opt(
        "INSERT INTO variables (scope, key, environment_scope, sealed, key_id, masked, protected, file, raw,
                description, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (scope, key, environment_scope) DO UPDATE
         SET sealed = excluded.sealed, key_id = excluded.key_id, masked = excluded.masked,
             protected = excluded.protected, file = excluded.file, raw = excluded.raw,
             description = excluded.description, updated_ms = excluded.updated_ms
         RETURNING id",
        params![
            new.scope,
            new.key,
            new.environment_scope,
            new.sealed,
            new.key_id,
            new.masked,
            new.protected,
            new.file,
            new.raw,
            new.description,
            now
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing {
        what: "variable",
        id: 0,
    })
}

/// Those of a scope, by key.
///
/// # Errors
/// When the database fails.
pub fn of_scope(tx: &mut Tx, scope: &str) -> Result<Vec<SealedVariable>> {
    tx.select("WHERE scope = $1 ORDER BY key, environment_scope", params![scope])
}

/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, scope: &str, key: &str, environment_scope: &str) -> Result<bool> {
    let rows = tx.exec(
        "DELETE FROM variables WHERE scope = $1 AND key = $2 AND environment_scope = $3",
        params![scope, key, environment_scope],
    )?;
    Ok(rows == 1)
}

/// Variables that are encrypted under another key than `key_id`: what a key rotation has left to do.
///
/// # Errors
/// When the database fails.
pub fn not_under_key(tx: &mut Tx, key_id: &str, limit: u32) -> Result<Vec<SealedVariable>> {
    tx.select("WHERE key_id <> $1 ORDER BY id LIMIT $2", params![key_id, limit])
}

/// Replaces the encrypted value, unless it was changed meanwhile.
///
/// # Errors
/// When the database fails.
pub fn reseal(tx: &mut Tx, old: &SealedVariable, sealed: &[u8], key_id: &str) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE variables SET sealed = $2, key_id = $3 WHERE id = $1 AND key_id = $4 AND updated_ms = $5",
        params![old.id, sealed, key_id, &old.key_id, old.updated_ms],
    )?;
    Ok(rows == 1)
}
