//! `/pipelines` and those of a project.

mod events;
mod forms;
mod run;

use axum::Json;
use axum::extract::State;
use http::Method;
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_proto::rest::{
    CompileRequest, Compiled, Diagnostic, Form, Job, LintRequest, NewPipeline, Page, Pipeline, PipelineDetail, Status,
    Time,
};
use tasuki_store::{Tx, pipelines};

pub use forms::of_project as forms_of;
pub use run::{Asked, start};
pub(super) use run::{none, variables};

use super::api::Api;
use super::{LISTING, Listing, projects, view};
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::{Id, Name, Params};
use crate::identity::Access::{Read, Write};

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
    by_hand(api);
    api.add(
        Method::POST,
        "/lint",
        Read,
        "Check a configuration without running it",
        run::lint,
    )
    .takes::<LintRequest>()
    .gives::<Vec<Diagnostic>>(200);
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
        "/pipelines/{id}/jobs",
        Read,
        "List the jobs of a pipeline",
        jobs_of,
    )
    .gives::<Page<Job>>(200);
    api.add(
        Method::POST,
        "/pipelines/{id}/cancel",
        Write,
        "Cancel all that has not ended",
        cancel,
    )
    .gives::<Pipeline>(200);
    api.add(
        Method::POST,
        "/pipelines/{id}/retry",
        Write,
        "Run failed and cancelled jobs again",
        retry,
    )
    .gives::<Pipeline>(200);
    api.add(
        Method::GET,
        "/pipelines/{id}/events",
        Read,
        "Follow a pipeline: an event for every change",
        events::one,
    )
    .gives_other("text/event-stream");
    api.add(
        Method::GET,
        "/events",
        Read,
        "Follow all pipelines: an event for every change",
        events::all,
    )
    .gives_other("text/event-stream");
}

/// What a person starts, and what would come of it.
fn by_hand(api: &mut Api) {
    api.add(
        Method::POST,
        "/projects/{project}/pipelines",
        Write,
        "Run a pipeline; repeated with the same `Idempotency-Key` it gives the same one",
        run::create,
    )
    .takes::<NewPipeline>()
    .gives::<Pipeline>(201);
    api.add(
        Method::GET,
        "/projects/{project}/forms",
        Read,
        "What the configurations at a ref ask of whoever runs a pipeline by hand",
        forms::list,
    )
    .query(&[("ref", "Branch or tag; absent = the default branch")])
    .gives::<Page<Form>>(200);
    api.add(
        Method::POST,
        "/projects/{project}/compile",
        Read,
        "The Plans that a pipeline would have; nothing runs",
        run::compile,
    )
    .takes::<CompileRequest>()
    .gives::<Page<Compiled>>(200);
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

async fn detail(app: &App, id: i64) -> Result<PipelineDetail> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            pipelines::get(tx, PipelineId(id))?
                .map(|row| view::detail(tx, &row, &url))
                .transpose()
        })
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("pipeline {id}")))
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<PipelineDetail>> {
    detail(&app, id).await.map(Json)
}

async fn jobs_of(State(app): State<App>, Id(id): Id) -> Result<Json<Page<Job>>> {
    let jobs = detail(&app, id)
        .await?
        .workflows
        .into_iter()
        .flat_map(|workflow| workflow.jobs)
        .collect();
    Ok(Json(Page::whole(jobs)))
}

async fn cancel(State(app): State<App>, Id(id): Id) -> Result<Json<Pipeline>> {
    app.scheduler().cancel_pipeline(PipelineId(id)).await?;
    read(&app, PipelineId(id)).await.map(Json)
}

async fn retry(State(app): State<App>, Id(id): Id) -> Result<Json<Pipeline>> {
    app.scheduler().retry_pipeline(PipelineId(id)).await?;
    read(&app, PipelineId(id)).await.map(Json)
}
