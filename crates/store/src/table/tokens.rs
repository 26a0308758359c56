//! Tokens that open the API: only their hashes are kept.

use tasuki_model::id::{ProjectId, ResourceClassId, UserId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A token that opens the API.
    pub struct Token in tokens {
        pub id: i64,
        /// SHA-256, hex.
        pub hash: String,
        /// `admin`, `api`, `registration`, `resource_class`, `trigger`.
        pub kind: String,
        pub name: String,
        pub user_id: Option<UserId>,
        pub project_id: Option<ProjectId>,
        pub resource_class_id: Option<ResourceClassId>,
        /// JSON array of texts.
        pub scopes_json: String,
        pub created_ms: Timestamp,
        pub used_ms: Option<Timestamp>,
        pub expires_ms: Option<Timestamp>,
    }
}

/// What a new token is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    pub hash: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub user_id: Option<UserId>,
    pub project_id: Option<ProjectId>,
    pub resource_class_id: Option<ResourceClassId>,
    pub scopes_json: &'a str,
    pub expires_ms: Option<Timestamp>,
}

/// # Errors
/// [`Error::Duplicate`] when the token is taken.
pub fn create(tx: &mut Tx, new: &NewToken<'_>, now: Timestamp) -> Result<i64> {
    tx.query_opt(
        "INSERT INTO tokens (hash, kind, name, user_id, project_id, resource_class_id, scopes_json, created_ms,
                expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        params![
            new.hash,
            new.kind,
            new.name,
            new.user_id,
            new.project_id,
            new.resource_class_id,
            new.scopes_json,
            now,
            new.expires_ms
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing { what: "token", id: 0 })
}

/// The token with that hash, unless it has expired.
///
/// # Errors
/// When the database fails.
pub fn by_hash(tx: &mut Tx, hash: &str, now: Timestamp) -> Result<Option<Token>> {
    tx.select_opt(
        "WHERE hash = $1 AND (expires_ms IS NULL OR expires_ms > $2)",
        params![hash, now],
    )
}

/// Those of one kind, by id.
///
/// # Errors
/// When the database fails.
pub fn of_kind(tx: &mut Tx, kind: &str) -> Result<Vec<Token>> {
    tx.select("WHERE kind = $1 ORDER BY id", params![kind])
}

/// All tokens, by id.
///
/// # Errors
/// When the database fails.
pub fn all(tx: &mut Tx) -> Result<Vec<Token>> {
    tx.select("ORDER BY id", params![])
}

/// Notes when a token was used.
///
/// # Errors
/// When the database fails.
pub fn touch(tx: &mut Tx, id: i64, now: Timestamp) -> Result<()> {
    tx.exec("UPDATE tokens SET used_ms = $2 WHERE id = $1", params![id, now])?;
    Ok(())
}

/// Removes a token: it opens nothing any more.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: i64) -> Result<bool> {
    Ok(tx.exec("DELETE FROM tokens WHERE id = $1", params![id])? == 1)
}
