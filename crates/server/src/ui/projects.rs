//! The list of projects.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tasuki_store::projects;

use super::frame::{self, Frame, Result};
use super::show::StatusView;
use crate::app::App;
use crate::http::rest::{self, view};
use crate::identity::Caller;

/// Projects on the page; more are reached through the API.
const SHOWN: u32 = 500;
/// Pipelines shown beside each project.
const RECENT: u32 = 12;

pub(super) fn router() -> Router<App> {
    Router::new().route("/", get(list))
}

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    projects: Vec<Row>,
}

struct Row {
    path: String,
    location: String,
    url: String,
    last: Option<Bar>,
    /// Oldest first.
    recent: Vec<Bar>,
}

#[derive(Clone)]
struct Bar {
    url: String,
    iid: i64,
    status: StatusView,
    created: String,
}

async fn list(State(app): State<App>, caller: Caller) -> Result {
    let url = app.url().to_owned();
    let projects = app
        .store()
        .read(move |tx| {
            let mut all = Vec::new();
            for row in projects::list(tx, None, SHOWN)? {
                let recent = rest::pipeline_states(tx, row.id, RECENT)?;
                let project = view::project(&row, &url);
                let mut recent: Vec<Bar> = recent
                    .into_iter()
                    .map(|p| Bar {
                        url: format!("/pipelines/{}", p.id),
                        iid: p.iid,
                        status: p.status.into(),
                        created: p.created.to_string(),
                    })
                    .collect();
                recent.reverse();
                all.push(Row {
                    url: format!("/projects/{}", project.id),
                    path: project.path,
                    location: project.location,
                    last: recent.last().cloned(),
                    recent,
                });
            }
            Ok(all)
        })
        .await?;
    Ok(frame::page(&ProjectsPage {
        frame: Frame::new("projects", &caller).live("/api/v1/events"),
        projects,
    }))
}
