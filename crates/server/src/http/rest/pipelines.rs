//! `/pipelines` and those of a project.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use http::Method;
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_proto::rest::{Page, Pipeline, PipelineDetail, Status, Time};
use tasuki_store::{Tx, pipelines};

use super::api::Api;
use super::{LISTING, Listing, projects, view};
use crate::app::{App, Change};
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Name, Params};
use crate::http::sse;
use crate::identity::Access::Read;

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/pipelines",
        Read,
        "List pipelines of all projects, newest first",
        list,
    )
    .query(LISTING)
    .gives::<Page<Pipeline>>(200);
    api.add(
        Method::GET,
        "/projects/{project}/pipelines",
        Read,
        "List pipelines, newest first",
        list_of,
    )
    .query(LISTING)
    .gives::<Page<Pipeline>>(200);
    api.add(
        Method::GET,
        "/pipelines/{id}",
        Read,
        "Show a pipeline with its jobs",
        show,
    )
    .gives::<PipelineDetail>(200);
    api.add(
        Method::GET,
        "/pipelines/{id}/events",
        Read,
        "Follow a pipeline: an event for every change",
        events,
    )
    .gives_other("text/event-stream");
    api.add(
        Method::GET,
        "/events",
        Read,
        "Follow all pipelines: an event for every change",
        all_events,
    )
    .gives_other("text/event-stream");
}

/// One page of pipelines.
pub fn page(
    tx: &mut Tx<'_>,
    project: Option<ProjectId>,
    before: Option<PipelineId>,
    limit: u32,
    url: &str,
) -> tasuki_store::Result<Page<Pipeline>> {
    let filter = pipelines::Filter {
        project,
        ref_name: None,
        before,
    };
    let rows = pipelines::list(tx, &filter, limit + 1)?;
    let more = rows.len() > limit as usize;
    let items: Result<Vec<_>, _> = rows
        .iter()
        .take(limit as usize)
        .map(|row| view::pipeline(tx, row, url))
        .collect();
    let items = items?;
    let next = if more {
        items.last().map(|pipeline| pipeline.id.to_string())
    } else {
        None
    };
    Ok(Page { items, next })
}

/// The newest pipelines of a project, with no more than a mark in a row needs.
pub fn states(tx: &mut Tx<'_>, project: ProjectId, limit: u32) -> tasuki_store::Result<Vec<Mark>> {
    let filter = pipelines::Filter {
        project: Some(project),
        ref_name: None,
        before: None,
    };
    let rows = pipelines::list(tx, &filter, limit)?;
    rows.iter()
        .map(|row| {
            let state = view::read("state of a pipeline", &row.state_json)?;
            let status = view::of_pipeline(&state);
            Ok(Mark {
                id: row.id,
                iid: row.iid,
                status,
                created: row.created_ms.into(),
            })
        })
        .collect()
}

/// A pipeline in a row of marks.
pub struct Mark {
    pub id: PipelineId,
    pub iid: i64,
    pub status: Status,
    pub created: Time,
}

impl Listing {
    fn before(&self) -> Result<Option<PipelineId>> {
        let parse = |text: &String| text.parse().map_err(|_| Problem::invalid("cursor", "not one of ours"));
        self.cursor.as_ref().map(parse).transpose()
    }
}

async fn list(State(app): State<App>, Params(listing): Params<Listing>) -> Result<Json<Page<Pipeline>>> {
    let (before, limit, url) = (listing.before()?, listing.limit(), app.url().to_owned());
    Ok(Json(
        app.store().read(move |tx| page(tx, None, before, limit, &url)).await?,
    ))
}

async fn list_of(
    State(app): State<App>,
    Name(project): Name,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Pipeline>>> {
    let (before, limit, url) = (listing.before()?, listing.limit(), app.url().to_owned());
    let found = app
        .store()
        .read_as(move |tx| {
            let project = projects::find(tx, &project)?;
            Ok::<_, Problem>(page(tx, Some(project.id), before, limit, &url)?)
        })
        .await?;
    Ok(Json(found))
}

/// A pipeline as lists show it.
pub(super) async fn read(app: &App, id: PipelineId) -> Result<Pipeline> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            pipelines::get(tx, id)?
                .map(|row| view::pipeline(tx, &row, &url))
                .transpose()
        })
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("pipeline {id}")))
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<PipelineDetail>> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            pipelines::get(tx, PipelineId(id))?
                .map(|row| view::detail(tx, &row, &url))
                .transpose()
        })
        .await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("pipeline {id}")))
}

/// Sends the pipeline at once and after every change; ends when it is finished.
async fn events(State(app): State<App>, Id(id): Id) -> Result<Response> {
    let id = PipelineId(id);
    let mut watch = app.events().watch();
    let first = read(&app, id).await?;
    let inner = app.clone();
    Ok(sse::stream(&app, move |sink| async move {
        let mut shown = first;
        loop {
            sink.send(event("pipeline", &shown)).await?;
            if shown.status.is_final() {
                return sink.send(Event::default().event("end").data("{}")).await;
            }
            loop {
                match watch.next().await {
                    Some(Change::Pipeline(changed)) if changed != id => {}
                    Some(_) => break,
                    None => return Ok(()),
                }
            }
            match read(&inner, id).await {
                Ok(next) => shown = next,
                Err(_) => return Ok(()),
            }
        }
    }))
}

/// Tells which pipelines changed; a page reads them again.
async fn all_events(State(app): State<App>) -> Response {
    let mut watch = app.events().watch();
    sse::stream(&app, move |sink| async move {
        while let Some(change) = watch.next().await {
            let data = match change {
                Change::Pipeline(id) => format!("{{\"pipeline_id\":{id}}}"),
                Change::Anything => "{}".to_owned(),
            };
            sink.send(Event::default().event("change").data(data)).await?;
        }
        Ok(())
    })
}

/// An event with a JSON body.
fn event<T: serde::Serialize>(name: &str, body: &T) -> Event {
    Event::default()
        .event(name)
        .data(serde_json::to_string(body).unwrap_or_default())
}
