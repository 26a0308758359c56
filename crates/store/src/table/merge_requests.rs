//! Merge requests of the forges' projects, as far as pipelines ask for them.

use tasuki_model::id::ProjectId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Result, Tx};

record! {
    /// A merge request.
    pub struct MergeRequest in merge_requests {
        pub project_id: ProjectId,
        /// The forge's number.
        pub iid: i64,
        pub source_branch: String,
        pub target_branch: String,
        /// The source branch is another project's.
        pub forked: bool,
        pub open: bool,
        pub updated_ms: Timestamp,
    }
}

/// Notes a merge request as it is now.
///
/// # Errors
/// When the database fails.
pub fn put(tx: &mut Tx, request: &MergeRequest) -> Result<()> {
    tx.exec(
        "INSERT INTO merge_requests (project_id, iid, source_branch, target_branch, forked, open, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (project_id, iid) DO UPDATE SET source_branch = excluded.source_branch,
             target_branch = excluded.target_branch, forked = excluded.forked, open = excluded.open,
             updated_ms = excluded.updated_ms",
        params![
            request.project_id,
            request.iid,
            request.source_branch.as_str(),
            request.target_branch.as_str(),
            request.forked,
            request.open,
            request.updated_ms
        ],
    )?;
    Ok(())
}

/// The open ones of a branch of the project itself, oldest first.
///
/// # Errors
/// When the database fails.
pub fn open_of_branch(tx: &mut Tx, project: ProjectId, branch: &str) -> Result<Vec<MergeRequest>> {
    tx.select(
        "WHERE project_id = $1 AND source_branch = $2 AND open = 1 AND forked = 0 ORDER BY iid",
        params![project, branch],
    )
}
