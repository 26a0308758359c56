//! `/projects/{project}/environments` and `/environments/{id}`.

use axum::Json;
use axum::extract::State;
use http::{Method, StatusCode};
use serde::Deserialize;
use tasuki_proto::rest::{Deployment, Environment, EnvironmentState, Page, StopEnvironment};
use tasuki_store::{Tx, deployments, environments};

use super::api::Api;
use super::{LISTING, Listing, projects, view};
use crate::app::App;
use crate::environments::make_wanted;
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Id, Json as Body, Name, Params};
use crate::identity::Access::{Read, Write};
use crate::scheduler::HowToStop;

/// How the query of the list is described.
const OF_PROJECT: &[(&str, &str)] = &[
    ("state", "Only those that are `available`, `stopping` or `stopped`"),
    ("name", "Only the one of this name"),
    LISTING[0],
    LISTING[1],
];

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/projects/{project}/environments",
        Read,
        "List a project's environments, by name",
        list,
    )
    .query(OF_PROJECT)
    .gives::<Page<Environment>>(200);
    api.add(
        Method::GET,
        "/environments/{id}",
        Read,
        "Show an environment with its newest deployments",
        show,
    )
    .gives::<Environment>(200);
    api.add(
        Method::GET,
        "/environments/{id}/deployments",
        Read,
        "List the deployments of an environment, newest first",
        deployments_of,
    )
    .query(LISTING)
    .gives::<Page<Deployment>>(200);
    api.add(
        Method::POST,
        "/environments/{id}/stop",
        Write,
        "Stop an environment, by the job that its deployment names for that",
        stop,
    )
    .takes::<StopEnvironment>()
    .gives::<Environment>(200);
    api.add(
        Method::POST,
        "/environments/{id}/keep",
        Write,
        "Let an environment not be stopped by the clock",
        keep,
    )
    .gives::<Environment>(200);
    api.add(
        Method::DELETE,
        "/environments/{id}",
        Write,
        "Remove a stopped environment with its deployments",
        remove,
    );
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(format!("environment {id}"))
}

/// The environment of that number.
fn find(tx: &mut Tx<'_>, id: i64) -> Result<environments::Environment> {
    environments::get(tx, id)?.ok_or_else(|| unknown(id))
}

/// An environment as the API shows it.
async fn read(app: &App, id: i64) -> Result<Json<Environment>> {
    make_wanted(app).await?;
    let url = app.url().to_owned();
    let found = app.store().read_as(move |tx| {
        let row = find(tx, id)?;
        Ok::<_, Problem>(view::environment(tx, &row, &url)?)
    });
    Ok(Json(found.await?))
}

#[derive(Deserialize)]
struct Which {
    state: Option<EnvironmentState>,
    name: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

async fn list(
    State(app): State<App>,
    Name(project): Name,
    Params(which): Params<Which>,
) -> Result<Json<Page<Environment>>> {
    make_wanted(&app).await?;
    let url = app.url().to_owned();
    let page = app.store().read_as(move |tx| {
        let project = projects::find(tx, &project)?;
        let filter = environments::Filter {
            state: which.state.map(EnvironmentState::as_str),
            name: which.name.as_deref(),
            after: which.cursor.as_deref(),
        };
        let limit = which.limit.unwrap_or(20).clamp(1, 100);
        Ok::<_, Problem>(page(tx, project.id, &filter, limit, &url)?)
    });
    Ok(Json(page.await?))
}

/// One page of a project's environments.
pub fn page(
    tx: &mut Tx<'_>,
    project: tasuki_model::id::ProjectId,
    filter: &environments::Filter<'_>,
    limit: u32,
    url: &str,
) -> tasuki_store::Result<Page<Environment>> {
    let mut rows = environments::list(tx, project, filter, limit + 1)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    let items = rows
        .iter()
        .map(|row| view::environment(tx, row, url))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Environment>> {
    read(&app, id).await
}

async fn deployments_of(
    State(app): State<App>,
    Id(id): Id,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Deployment>>> {
    let limit = listing.limit();
    let before = match listing.cursor.as_deref().map(str::parse) {
        None => None,
        Some(Ok(before)) => Some(before),
        Some(Err(_)) => return Err(Problem::invalid("cursor", "is not one of ours")),
    };
    make_wanted(&app).await?;
    let url = app.url().to_owned();
    let page = app.store().read_as(move |tx| {
        let environment = find(tx, id)?;
        Ok::<_, Problem>(history(tx, environment.id, before, limit, &url)?)
    });
    Ok(Json(page.await?))
}

/// One page of an environment's deployments.
pub fn history(
    tx: &mut Tx<'_>,
    environment: i64,
    before: Option<i64>,
    limit: u32,
    url: &str,
) -> tasuki_store::Result<Page<Deployment>> {
    let mut rows = deployments::page(tx, environment, before, limit + 1)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    let items = rows
        .into_iter()
        .map(|row| view::deployment(tx, row, url))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

async fn stop(State(app): State<App>, Id(id): Id, Body(how): Body<StopEnvironment>) -> Result<Json<Environment>> {
    let how = if how.force {
        HowToStop::AtOnce
    } else {
        HowToStop::ByItsJob
    };
    app.scheduler().stop_environment(id, how).await?;
    read(&app, id).await
}

async fn keep(State(app): State<App>, Id(id): Id) -> Result<Json<Environment>> {
    app.scheduler().keep_environment(id).await?;
    read(&app, id).await
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app.store().write_as(move |tx| {
        let row = find(tx, id)?;
        if environments::remove(tx, id)? {
            return Ok(());
        }
        let detail = format!("environment {} is {}; stop it first", row.name, row.state);
        Err(Problem::new(Code::Conflict, detail))
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
