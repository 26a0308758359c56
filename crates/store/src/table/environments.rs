//! Environments: places that jobs deploy to.

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;

use super::State;
use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// An environment.
    pub struct Environment in environments {
        pub id: i64,
        pub project_id: ProjectId,
        /// Unique in the project.
        pub name: String,
        /// The name, fit for host names.
        pub slug: String,
        /// `production`, `staging`, `testing`, `development`, `other`.
        pub tier: String,
        /// `available`, `stopping`, `stopped`.
        pub state: String,
        pub state_json: String,
        /// Counts every change of the row.
        pub version: i64,
        /// When the clock stops it.
        pub due_ms: Option<Timestamp>,
        /// Where people find what was deployed, as the job gave it.
        pub url: Option<String>,
        /// The newest deployment that succeeded.
        pub last_deployment_id: Option<i64>,
        pub created_ms: Timestamp,
        pub updated_ms: Timestamp,
    }
}

/// What an environment is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewEnvironment<'a> {
    pub project_id: ProjectId,
    pub name: &'a str,
    pub slug: &'a str,
    pub tier: &'a str,
    pub state: State<'a>,
}

/// The environment of that name; it is made where there is none.
///
/// # Errors
/// When the database fails.
pub fn ensure(tx: &mut Tx, new: &NewEnvironment<'_>, now: Timestamp) -> Result<Environment> {
    if let Some(found) = by_name(tx, new.project_id, new.name)? {
        return Ok(found);
    }
    // Another server may have been faster: then this changes nothing.
    tx.exec(
        "INSERT INTO environments (project_id, name, slug, tier, state, state_json, version, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
         ON CONFLICT (project_id, name) DO UPDATE SET name = excluded.name",
        params![
            new.project_id,
            new.name,
            new.slug,
            new.tier,
            new.state.tag,
            new.state.json,
            now
        ],
    )?;
    by_name(tx, new.project_id, new.name)?.ok_or(Error::Missing {
        what: "environment",
        id: 0,
    })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Environment>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn by_name(tx: &mut Tx, project: ProjectId, name: &str) -> Result<Option<Environment>> {
    tx.select_opt("WHERE project_id = $1 AND name = $2", params![project, name])
}

/// Which environments of a project are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    pub state: Option<&'a str>,
    /// Only the one of this name.
    pub name: Option<&'a str>,
    /// Name of the last one of the page before.
    pub after: Option<&'a str>,
}

/// A page of a project's environments, by name.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx, project: ProjectId, filter: &Filter<'_>, limit: u32) -> Result<Vec<Environment>> {
    tx.select(
        "WHERE project_id = $1 AND state = COALESCE($2, state) AND name = COALESCE($3, name)
           AND name > COALESCE($4, '') ORDER BY name LIMIT $5",
        params![project, filter.state, filter.name, filter.after, limit],
    )
}

/// Environments that are not stopped and that were last deployed to from this ref.
///
/// # Errors
/// When the database fails.
pub fn of_ref(tx: &mut Tx, project: ProjectId, ref_kind: &str, ref_name: &str) -> Result<Vec<Environment>> {
    tx.select(
        "JOIN deployments ON deployments.id = environments.last_deployment_id
         WHERE environments.project_id = $1 AND environments.state <> 'stopped'
           AND deployments.ref_kind = $2 AND deployments.ref_name = $3 ORDER BY environments.id",
        params![project, ref_kind, ref_name],
    )
}

/// What changes of an environment; what is absent stays.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub state: State<'a>,
    pub due_ms: Option<Timestamp>,
    pub tier: Option<&'a str>,
    pub last_deployment_id: Option<i64>,
}

/// Saves a new state, unless the row has changed since `version`. `false`: it has.
///
/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: i64, version: i64, new: &Change<'_>, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE environments SET state = $3, state_json = $4, due_ms = $5, tier = COALESCE($6, tier),
             last_deployment_id = COALESCE($7, last_deployment_id), version = version + 1, updated_ms = $8
         WHERE id = $1 AND version = $2",
        params![
            id,
            version,
            new.state.tag,
            new.state.json,
            new.due_ms,
            new.tier,
            new.last_deployment_id,
            now
        ],
    )?;
    Ok(rows == 1)
}

/// Sets the address, unless something else was deployed meanwhile.
///
/// # Errors
/// When the database fails.
pub fn set_url(tx: &mut Tx, id: i64, deployment: i64, url: &str) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE environments SET url = $3, version = version + 1 WHERE id = $1 AND last_deployment_id = $2",
        params![id, deployment, url],
    )?;
    Ok(rows == 1)
}

/// Removes a stopped environment with its deployments. `false`: there is none, or it is not stopped.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: i64) -> Result<bool> {
    let rows = tx.exec(
        "DELETE FROM environments WHERE id = $1 AND state = 'stopped'",
        params![id],
    )?;
    Ok(rows == 1)
}

/// Those that the clock is to stop by `until`, earliest first.
///
/// # Errors
/// When the database fails.
pub fn due(tx: &mut Tx, until: Timestamp, limit: u32) -> Result<Vec<Environment>> {
    tx.select(
        "WHERE due_ms IS NOT NULL AND due_ms <= $1 ORDER BY due_ms, id LIMIT $2",
        params![until, limit],
    )
}

/// When the clock has next to stop one.
///
/// # Errors
/// When the database fails.
pub fn next_due(tx: &mut Tx) -> Result<Option<Timestamp>> {
    tx.query_opt(
        "SELECT MIN(due_ms) FROM environments WHERE due_ms IS NOT NULL",
        params![],
        |row| row.take::<Option<Timestamp>>(),
    )
    .map(Option::flatten)
}
