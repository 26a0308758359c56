//! The releases of a project.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;
use tasuki_model::id::ProjectId;
use tasuki_proto::rest as api;
use tasuki_store::projects;

use super::frame::{self, Frame, Result, not_found};
use super::show::{Address, short_sha};
use crate::app::App;
use crate::http::extract::Id;
use crate::http::rest;
use crate::identity::Caller;

/// Releases on a page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<App> {
    Router::new().route("/projects/{id}/releases", get(list))
}

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    frame: Frame,
    project: String,
    project_url: String,
    releases: Vec<Row>,
    next: Option<String>,
}

/// A release.
struct Row {
    tag: String,
    name: String,
    description: String,
    short_sha: String,
    milestones: String,
    links: Vec<Link>,
    job_url: Option<String>,
    released: String,
}

struct Link {
    name: String,
    address: Address,
}

#[derive(Deserialize)]
struct Before {
    before: Option<i64>,
}

async fn list(State(app): State<App>, caller: Caller, Id(id): Id, Query(before): Query<Before>) -> Result {
    let url = app.url().to_owned();
    let found = app.store().read(move |tx| {
        let Some(project) = projects::get(tx, ProjectId(id))? else {
            return Ok(None);
        };
        let page = rest::release_page(tx, project.id, before.before, PAGE, &url)?;
        Ok(Some((project, page)))
    });
    let Some((project, page)) = found.await? else {
        return Err(not_found("project"));
    };
    let project_url = format!("/projects/{}", project.id);
    Ok(frame::page(&ReleasesPage {
        frame: Frame::new("projects", &caller),
        project: project.path,
        next: page
            .next
            .map(|before| format!("{project_url}/releases?before={before}")),
        project_url,
        releases: page.items.into_iter().map(row).collect(),
    }))
}

fn row(release: api::Release) -> Row {
    let link = |link: api::ReleaseLink| Link {
        name: link.name,
        address: Address::new(link.url),
    };
    Row {
        tag: release.tag,
        name: release.name,
        description: release.description,
        short_sha: short_sha(&release.sha),
        milestones: release.milestones.join(", "),
        links: release.links.into_iter().map(link).collect(),
        job_url: release.job_url,
        released: release.released_at.to_string(),
    }
}
