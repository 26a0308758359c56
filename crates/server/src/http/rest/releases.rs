//! `/projects/{project}/releases` and `/releases/{id}`.

use axum::Json;
use axum::extract::State;
use http::{Method, StatusCode};
use tasuki_model::id::ProjectId;
use tasuki_proto::rest::{Page, Release};
use tasuki_store::{Tx, releases};

use super::api::Api;
use super::{LISTING, Listing, projects, view};
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Name, Params};
use crate::identity::Access::{Read, Write};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/projects/{project}/releases",
        Read,
        "List a project's releases, the one made last first",
        list,
    )
    .query(LISTING)
    .gives::<Page<Release>>(200);
    api.add(Method::GET, "/releases/{id}", Read, "Show a release", show)
        .gives::<Release>(200);
    api.add(
        Method::DELETE,
        "/releases/{id}",
        Write,
        "Remove a release; its tag stays",
        remove,
    );
}

fn find(tx: &mut Tx<'_>, id: i64) -> Result<releases::Release> {
    releases::get(tx, id)?.ok_or_else(|| Problem::not_found(format!("release {id}")))
}

async fn list(
    State(app): State<App>,
    Name(project): Name,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Release>>> {
    let limit = listing.limit();
    let before = match listing.cursor.as_deref().map(str::parse) {
        None => None,
        Some(Ok(before)) => Some(before),
        Some(Err(_)) => return Err(Problem::invalid("cursor", "is not one of ours")),
    };
    let url = app.url().to_owned();
    let found = app.store().read_as(move |tx| {
        let project = projects::find(tx, &project)?;
        Ok::<_, Problem>(page(tx, project.id, before, limit, &url)?)
    });
    Ok(Json(found.await?))
}

/// One page of a project's releases.
pub fn page(
    tx: &mut Tx<'_>,
    project: ProjectId,
    before: Option<i64>,
    limit: u32,
    url: &str,
) -> tasuki_store::Result<Page<Release>> {
    let mut rows = releases::page(tx, project, before, limit + 1)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    let items = rows.into_iter().map(|row| view::release(tx, row, url));
    let items = items.collect::<tasuki_store::Result<_>>()?;
    Ok(Page { items, next })
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Release>> {
    let url = app.url().to_owned();
    let found = app.store().read_as(move |tx| {
        let row = find(tx, id)?;
        Ok::<_, Problem>(view::release(tx, row, &url)?)
    });
    Ok(Json(found.await?))
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app.store().write_as(move |tx| {
        find(tx, id)?;
        Ok::<_, Problem>(releases::remove(tx, id)?)
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
