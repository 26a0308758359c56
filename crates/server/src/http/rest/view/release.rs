//! Releases.

use tasuki_proto::rest::Release;
use tasuki_store::{Result, Tx, jobs, releases};

use super::read;

/// A release as the API shows it.
pub fn release(tx: &mut Tx<'_>, row: releases::Release, url: &str) -> Result<Release> {
    let job_is_there = jobs::get(tx, row.job_id)?.is_some();
    Ok(Release {
        id: row.id,
        project_id: row.project_id.0,
        milestones: read("milestones", &row.milestones_json)?,
        links: read("links of a release", &row.links_json)?,
        job_id: row.job_id.0,
        job_url: job_is_there.then(|| format!("{url}/jobs/{}", row.job_id)),
        released_at: row.released_ms.into(),
        created_at: row.created_ms.into(),
        web_url: format!("{url}/projects/{}/releases", row.project_id),
        tag: row.tag,
        name: row.name,
        description: row.description,
        sha: row.sha,
    })
}
