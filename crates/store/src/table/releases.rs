//! Releases: what a project's jobs gave out, by tag.

use tasuki_model::id::{JobId, ProjectId};
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Result, Tx};

record! {
    /// A release.
    pub struct Release in releases {
        pub id: i64,
        pub project_id: ProjectId,
        /// One release a tag.
        pub tag: String,
        pub name: String,
        pub description: String,
        /// The commit of the tag when the release was made.
        pub sha: String,
        /// A list of texts.
        pub milestones_json: String,
        /// A list of links, as the Plan has them.
        pub links_json: String,
        /// It may be gone.
        pub job_id: JobId,
        pub released_ms: Timestamp,
        pub created_ms: Timestamp,
    }
}

/// What a release says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub milestones_json: &'a str,
    pub released_ms: Timestamp,
}

/// What a new release is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewRelease<'a> {
    pub project_id: ProjectId,
    pub tag: &'a str,
    pub sha: &'a str,
    pub links_json: &'a str,
    pub job_id: JobId,
    pub content: Content<'a>,
}

/// Makes a release; `None` where the tag has one.
///
/// # Errors
/// When the database fails.
pub fn create(tx: &mut Tx, new: &NewRelease<'_>, now: Timestamp) -> Result<Option<i64>> {
    tx.query_opt(
        "INSERT INTO releases (project_id, tag, name, description, sha, milestones_json, links_json, job_id,
                released_ms, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (project_id, tag) DO NOTHING RETURNING id",
        params![
            new.project_id,
            new.tag,
            new.content.name,
            new.content.description,
            new.sha,
            new.content.milestones_json,
            new.links_json,
            new.job_id,
            new.content.released_ms,
            now
        ],
        |row| row.take(),
    )
}

/// Changes what a release says.
///
/// # Errors
/// When the database fails.
pub fn change(tx: &mut Tx, id: i64, content: &Content<'_>) -> Result<()> {
    tx.exec(
        "UPDATE releases SET name = $2, description = $3, milestones_json = $4, released_ms = $5 WHERE id = $1",
        params![
            id,
            content.name,
            content.description,
            content.milestones_json,
            content.released_ms
        ],
    )?;
    Ok(())
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: i64) -> Result<Option<Release>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// The release of a tag.
///
/// # Errors
/// When the database fails.
pub fn of_tag(tx: &mut Tx, project: ProjectId, tag: &str) -> Result<Option<Release>> {
    tx.select_opt("WHERE project_id = $1 AND tag = $2", params![project, tag])
}

/// A page of a project's releases, the one made last first; `before` is the id of the last one of the page before.
///
/// # Errors
/// When the database fails.
pub fn page(tx: &mut Tx, project: ProjectId, before: Option<i64>, limit: u32) -> Result<Vec<Release>> {
    tx.select(
        "WHERE project_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        params![project, before.unwrap_or(i64::MAX), limit],
    )
}

/// Removes a release. The tag stays.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, id: i64) -> Result<()> {
    tx.exec("DELETE FROM releases WHERE id = $1", params![id])?;
    Ok(())
}
