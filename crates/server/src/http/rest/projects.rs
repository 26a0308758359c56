//! `/projects`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use tasuki_model::id::ProjectId;
use tasuki_proto::rest::{NewProject, Page, Project, ProjectPatch};
use tasuki_store::{Tx, projects};

use super::api::Api;
use super::{LISTING, Listing, view};
use crate::app::App;
use crate::config::ProjectSettings;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Json as Body, Name, Params};
use crate::identity::Access::{Admin, Read};

pub(super) fn declare(api: &mut Api) {
    api.add(Method::GET, "/projects", Read, "List projects", list)
        .query(LISTING)
        .gives::<Page<Project>>(200);
    api.add(
        Method::POST,
        "/projects",
        Admin,
        "Add a folder or a repository as project",
        create,
    )
    .takes::<NewProject>()
    .gives::<Project>(201);
    api.add(Method::GET, "/projects/{project}", Read, "Show a project", show)
        .gives::<Project>(200);
    api.add(
        Method::PATCH,
        "/projects/{project}",
        Admin,
        "Change a project's settings",
        change,
    )
    .takes::<ProjectPatch>()
    .gives::<Project>(200);
    api.add(
        Method::DELETE,
        "/projects/{project}",
        Admin,
        "Remove a project with everything in it",
        remove,
    );
}

/// The project of that number or path.
///
/// # Errors
/// There is none: [`Problem::not_found`].
pub(super) fn find(tx: &mut Tx<'_>, id: &str) -> Result<projects::Project> {
    let found = match id.parse() {
        Ok(number) => projects::get(tx, ProjectId(number))?,
        Err(_) => projects::by_path(tx, id)?,
    };
    found.ok_or_else(|| Problem::not_found(format!("project {id}")))
}

async fn list(State(app): State<App>, Params(listing): Params<Listing>) -> Result<Json<Page<Project>>> {
    let limit = listing.limit();
    let rows = app
        .store()
        .read(move |tx| projects::list(tx, listing.cursor.as_deref(), limit + 1))
        .await?;
    let more = rows.len() > limit as usize;
    let items: Vec<_> = rows
        .iter()
        .take(limit as usize)
        .map(|row| view::project(row, app.url()))
        .collect();
    let next = if more {
        items.last().map(|project| project.path.clone())
    } else {
        None
    };
    Ok(Json(Page { items, next }))
}

async fn show(State(app): State<App>, Name(id): Name) -> Result<Json<Project>> {
    let row = app.store().read_as(move |tx| find(tx, &id)).await?;
    Ok(Json(view::project(&row, app.url())))
}

async fn create(State(app): State<App>, Body(new): Body<NewProject>) -> Result<impl IntoResponse> {
    let added = app.add_project(new).await?;
    let mut project = view::project(&added.project, app.url());
    project.hook_secret = added.hook_secret.map(|secret| secret.expose().to_owned());
    Ok((StatusCode::CREATED, Json(project)))
}

async fn change(State(app): State<App>, Name(id): Name, Body(patch): Body<ProjectPatch>) -> Result<Json<Project>> {
    let now = app.now();
    let row = app
        .store()
        .write_as(move |tx| {
            let mut row = find(tx, &id)?;
            let mut settings = ProjectSettings::read(&row.settings_json);
            if let Some(path) = patch.config_path {
                settings.config_path = path;
            }
            if let Some(seconds) = patch.timeout_s {
                settings.timeout_s = Some(seconds).filter(|s| *s > 0);
            }
            if let Some(allow) = patch.allow_outdated_deployments {
                settings.allow_outdated_deployments = allow;
            }
            if let Some(flag) = patch.build_forks {
                settings.build_forks = flag;
            }
            if let Some(branch) = patch.default_branch {
                row.default_branch = branch;
            }
            row.settings_json = settings.to_json();
            projects::update(tx, &row, now)?;
            Ok::<_, Problem>(row)
        })
        .await?;
    Ok(Json(view::project(&row, app.url())))
}

async fn remove(State(app): State<App>, Name(id): Name) -> Result<StatusCode> {
    let project = app.store().read_as(move |tx| find(tx, &id)).await?;
    app.remove_project(project.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
