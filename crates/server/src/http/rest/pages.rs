//! `/projects/{project}/pages` and `/pages/{id}`. The pages themselves are read in the web UI.

use axum::Json;
use axum::extract::State;
use http::{Method, StatusCode};
use tasuki_proto::rest::{Page, Pages};
use tasuki_store::{Tx, jobs, pages};

use super::api::Api;
use super::{LISTING, Listing, projects};
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Name, Params};
use crate::identity::Access::{Read, Write};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/projects/{project}/pages",
        Read,
        "List the pages that a project shows, by their places",
        list,
    )
    .query(LISTING)
    .gives::<Page<Pages>>(200);
    api.add(
        Method::DELETE,
        "/pages/{id}",
        Write,
        "Show pages no more; the artifact of the job stays",
        remove,
    );
}

async fn list(
    State(app): State<App>,
    Name(project): Name,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Pages>>> {
    let limit = listing.limit();
    let (url, now) = (app.url().to_owned(), app.now());
    let found = app.store().read_as(move |tx| {
        let project = projects::find(tx, &project)?;
        let mut rows = pages::page(tx, project.id, listing.cursor.as_deref(), limit + 1, now)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.prefix.clone());
        let items = rows.into_iter().map(|row| view(tx, row, &url));
        let items = items.collect::<tasuki_store::Result<_>>()?;
        Ok::<_, Problem>(Page { items, next })
    });
    Ok(Json(found.await?))
}

fn view(tx: &mut Tx<'_>, row: pages::Pages, url: &str) -> tasuki_store::Result<Pages> {
    let job_is_there = jobs::get(tx, row.job_id)?.is_some();
    let below = if row.prefix.is_empty() { "" } else { "/" };
    Ok(Pages {
        id: row.id,
        project_id: row.project_id.0,
        pipeline_id: row.pipeline_id.0,
        job_id: row.job_id.0,
        job_url: job_is_there.then(|| format!("{url}/jobs/{}", row.job_id)),
        folder: row.folder,
        size: row.size,
        created_at: row.created_ms.into(),
        expires_at: row.expires_ms.map(Into::into),
        web_url: format!("{url}/projects/{}/pages{below}{}/", row.project_id, row.prefix),
        prefix: row.prefix,
    })
}

async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode> {
    let removed = app.store().write_as(move |tx| {
        if pages::remove(tx, id)? {
            Ok(())
        } else {
            Err(Problem::not_found(format!("pages {id}")))
        }
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
