//! Repositories that tasuki builds, and what was last seen at their refs.

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A project.
    pub struct Project in projects {
        pub id: ProjectId,
        /// `namespace/name`, unique.
        pub path: String,
        pub name: String,
        /// `local`, `gitlab`, `github`, `gitea`, `git`.
        pub kind: String,
        /// Folder or URL of the repository.
        pub url: String,
        pub default_branch: String,
        pub settings_json: String,
        /// The iid of its newest pipeline; 0 = none yet.
        pub last_iid: i64,
        pub created_ms: Timestamp,
        pub updated_ms: Timestamp,
    }
}

/// What a new project is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewProject<'a> {
    pub path: &'a str,
    pub name: &'a str,
    pub kind: &'a str,
    pub url: &'a str,
    pub default_branch: &'a str,
    pub settings_json: &'a str,
}

/// # Errors
/// [`Error::Duplicate`] when the path is taken.
pub fn create(tx: &mut Tx, new: &NewProject<'_>, now: Timestamp) -> Result<ProjectId> {
    tx.query_opt(
        "INSERT INTO projects (path, name, kind, url, default_branch, settings_json, last_iid, created_ms, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $7) RETURNING id",
        params![
            new.path,
            new.name,
            new.kind,
            new.url,
            new.default_branch,
            new.settings_json,
            now
        ],
        |row| row.take(),
    )?
    .ok_or(Error::Missing { what: "project", id: 0 })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: ProjectId) -> Result<Option<Project>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn by_path(tx: &mut Tx, path: &str) -> Result<Option<Project>> {
    tx.select_opt("WHERE path = $1", params![path])
}

/// Projects by path; `after` is the path of the last one of the page before.
///
/// # Errors
/// When the database fails.
pub fn list(tx: &mut Tx, after: Option<&str>, limit: u32) -> Result<Vec<Project>> {
    tx.select(
        "WHERE path > $1 ORDER BY path LIMIT $2",
        params![after.unwrap_or_default(), limit],
    )
}

/// Changes what a person may change of a project.
///
/// # Errors
/// When the database fails.
pub fn update(tx: &mut Tx, project: &Project, now: Timestamp) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE projects SET path = $2, name = $3, kind = $4, url = $5, default_branch = $6, settings_json = $7,
                updated_ms = $8
         WHERE id = $1",
        params![
            project.id,
            &project.path,
            &project.name,
            &project.kind,
            &project.url,
            &project.default_branch,
            &project.settings_json,
            now
        ],
    )?;
    Ok(rows == 1)
}

/// Removes a project with everything in it; its blobs become trash. A project with a long history takes
/// long: remove its pipelines in batches before (`retention`).
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: ProjectId, now: Timestamp) -> Result<bool> {
    for (table, key) in [("artifacts", "artifacts.project_id"), ("caches", "caches.project_id")] {
        tx.exec(
            &format!(
                "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($2 AS BIGINT) FROM {table} WHERE {key} = $1
                 ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms"
            ),
            params![id, now],
        )?;
    }
    tx.exec(
        "INSERT INTO blob_trash (key, due_ms)
         SELECT log_segments.blob_key, CAST($2 AS BIGINT) FROM log_segments
         JOIN tasks ON tasks.id = log_segments.task_id
         WHERE tasks.project_id = $1 AND log_segments.blob_key IS NOT NULL
         ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        params![id, now],
    )?;
    Ok(tx.exec("DELETE FROM projects WHERE id = $1", params![id])? == 1)
}

/// What was last seen at a ref (`refs/heads/main`).
///
/// # Errors
/// When the database fails.
pub fn ref_sha(tx: &mut Tx, project: ProjectId, name: &str) -> Result<Option<String>> {
    tx.query_opt(
        "SELECT sha FROM refs WHERE project_id = $1 AND name = $2",
        params![project, name],
        |row| row.take(),
    )
}

/// All refs that were seen, with their commits.
///
/// # Errors
/// When the database fails.
pub fn refs(tx: &mut Tx, project: ProjectId) -> Result<Vec<(String, String)>> {
    tx.query(
        "SELECT name, sha FROM refs WHERE project_id = $1 ORDER BY name",
        params![project],
        |row| Ok((row.take()?, row.take()?)),
    )
}

/// What was seen at a ref, and when it was first seen there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRef {
    pub name: String,
    pub sha: String,
    pub seen_ms: Timestamp,
}

/// [`refs`] with the time at which each was noted.
///
/// # Errors
/// When the database fails.
pub fn seen_refs(tx: &mut Tx, project: ProjectId) -> Result<Vec<SeenRef>> {
    tx.query(
        "SELECT name, sha, seen_ms FROM refs WHERE project_id = $1 ORDER BY name",
        params![project],
        |row| {
            Ok(SeenRef {
                name: row.take()?,
                sha: row.take()?,
                seen_ms: row.take()?,
            })
        },
    )
}

/// Those that have an address of a forge: every project that is not a folder.
///
/// # Errors
/// When the database fails.
pub fn by_webhook(tx: &mut Tx) -> Result<Vec<Project>> {
    tx.select("WHERE kind <> 'local' ORDER BY id", params![])
}

/// Notes what is at a ref now; `None` = the ref is gone.
///
/// # Errors
/// When the database fails.
pub fn set_ref(tx: &mut Tx, project: ProjectId, name: &str, sha: Option<&str>, now: Timestamp) -> Result<()> {
    match sha {
        Some(sha) => tx.exec(
            "INSERT INTO refs (project_id, name, sha, seen_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, name) DO UPDATE SET sha = excluded.sha, seen_ms = excluded.seen_ms",
            params![project, name, sha, now],
        )?,
        None => tx.exec(
            "DELETE FROM refs WHERE project_id = $1 AND name = $2",
            params![project, name],
        )?,
    };
    Ok(())
}
