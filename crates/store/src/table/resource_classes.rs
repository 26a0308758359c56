//! Pools of runners, `namespace/name`.

use tasuki_model::id::ResourceClassId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A resource class.
    pub struct ResourceClass in resource_classes {
        pub id: ResourceClassId,
        /// `namespace/name`, unique.
        pub name: String,
        pub description: String,
        pub created_ms: Timestamp,
    }
}

/// # Errors
/// [`Error::Duplicate`] when the name is taken.
pub fn create(tx: &mut Tx, name: &str, description: &str, now: Timestamp) -> Result<ResourceClassId> {
    tx.query_opt(
        "INSERT INTO resource_classes (name, description, created_ms) VALUES ($1, $2, $3) RETURNING id",
        params![name, description, now],
        |row| row.take(),
    )?
    .ok_or(Error::Missing {
        what: "resource class",
        id: 0,
    })
}

/// # Errors
/// When the database fails.
pub fn by_name(tx: &mut Tx, name: &str) -> Result<Option<ResourceClass>> {
    tx.select_opt("WHERE name = $1", params![name])
}

/// All resource classes, by name.
///
/// # Errors
/// When the database fails.
pub fn all(tx: &mut Tx) -> Result<Vec<ResourceClass>> {
    tx.select("ORDER BY name", params![])
}

/// Removes a class with its tokens and runners.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: ResourceClassId) -> Result<bool> {
    Ok(tx.exec("DELETE FROM resource_classes WHERE id = $1", params![id])? == 1)
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: ResourceClassId) -> Result<Option<ResourceClass>> {
    tx.select_opt("WHERE id = $1", params![id])
}
