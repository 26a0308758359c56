//! `/jobs`, `/artifacts`. Tasks and their logs are in [`super::tasks`].

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use tasuki_model::id::JobId;
use tasuki_proto::rest::{Artifact, Job, Page, PendingCause, Play, Task, WhyPending};
use tasuki_store::{artifacts, jobs};

use super::api::Api;
use super::pipelines::variables;
use super::view;
use crate::app::App;
use crate::http::download::{self, Download, Failed};
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Id, Json as Body};
use crate::identity::Access::{Read, Write};
use crate::scheduler::{self, Cause, Pending};

pub(super) fn declare(api: &mut Api) {
    api.add(
        Method::GET,
        "/jobs/{id}",
        Read,
        "Show a job with its tasks, and why it waits",
        show,
    )
    .gives::<Job>(200);
    api.add(
        Method::GET,
        "/jobs/{id}/tasks",
        Read,
        "List the tasks of a job, oldest first",
        tasks_of,
    )
    .gives::<Page<Task>>(200);
    api.add(
        Method::GET,
        "/jobs/{id}/artifacts",
        Read,
        "List what the newest tasks of a job left",
        artifacts_of,
    )
    .gives::<Page<Artifact>>(200);
    api.add(
        Method::POST,
        "/jobs/{id}/play",
        Write,
        "Start a manual job, or a delayed one before its time",
        play,
    )
    .takes::<Play>()
    .gives::<Job>(200);
    api.add(Method::POST, "/jobs/{id}/cancel", Write, "Cancel a job", cancel)
        .gives::<Job>(200);
    api.add(Method::POST, "/jobs/{id}/retry", Write, "Run an ended job again", retry)
        .gives::<Job>(200);
    api.add(
        Method::GET,
        "/artifacts/{id}/download",
        Read,
        "Download a file that a task left",
        download,
    )
    .gives_other("application/octet-stream");
}

/// A job as the API shows it.
pub(in crate::http) async fn read(app: &App, id: i64) -> Result<Job> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            jobs::get(tx, JobId(id))?
                .map(|row| view::job(tx, &row, &url))
                .transpose()
        })
        .await?;
    let mut job = found.ok_or_else(|| Problem::not_found(format!("job {id}")))?;
    job.why_pending = app.scheduler().why_pending(JobId(id)).await?.map(why);
    Ok(job)
}

/// Why a job waits, as the API says it.
pub fn why(pending: Pending) -> WhyPending {
    WhyPending {
        cause: match pending.cause {
            Cause::Predecessors => PendingCause::Needs,
            Cause::Manual => PendingCause::Manual,
            Cause::Delayed => PendingCause::Delay,
            Cause::Resource => PendingCause::ResourceGroup,
            Cause::NoRunner | Cause::RunnersAway => PendingCause::NoRunner,
            Cause::NoMatch => PendingCause::NoMatchingRunner,
            Cause::RunnersBusy => PendingCause::RunnersBusy,
            Cause::Starting => PendingCause::Ready,
        },
        message: pending.text,
        remedy: (!pending.remedy.is_empty()).then_some(pending.remedy),
    }
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Job>> {
    read(&app, id).await.map(Json)
}

async fn tasks_of(State(app): State<App>, Id(id): Id) -> Result<Json<Page<Task>>> {
    Ok(Json(Page::whole(read(&app, id).await?.tasks)))
}

async fn artifacts_of(State(app): State<App>, Id(id): Id) -> Result<Json<Page<Artifact>>> {
    let mut newest = std::collections::BTreeMap::new();
    for task in read(&app, id).await?.tasks {
        newest.insert(task.parallel_index, task);
    }
    Ok(Json(Page::whole(
        newest.into_values().flat_map(|task| task.artifacts).collect(),
    )))
}

async fn play(State(app): State<App>, Id(id): Id, Body(play): Body<Play>) -> Result<Json<Job>> {
    let with = scheduler::Play {
        variables: variables(play.variables)?,
    };
    app.scheduler().play(JobId(id), with).await?;
    read(&app, id).await.map(Json)
}

async fn cancel(State(app): State<App>, Id(id): Id) -> Result<Json<Job>> {
    app.scheduler().cancel_job(JobId(id)).await?;
    read(&app, id).await.map(Json)
}

async fn retry(State(app): State<App>, Id(id): Id) -> Result<Json<Job>> {
    app.scheduler().retry_job(JobId(id)).await?;
    read(&app, id).await.map(Json)
}

async fn download(State(app): State<App>, Id(id): Id, headers: HeaderMap) -> Result<Response> {
    let now = app.now();
    let found = app.store().read(move |tx| artifacts::get(tx, id)).await?;
    let missing = || Problem::not_found(format!("artifact {id}"));
    let artifact = found
        .filter(|file| file.expires_ms.is_none_or(|at| at > now))
        .ok_or_else(missing)?;
    let what = Download {
        blob_key: &artifact.blob_key,
        sha256: &artifact.sha256,
        size: artifact.size,
        filename: &artifact.filename,
        media_type: "application/octet-stream",
    };
    download::send(&app, &headers, &what)
        .await
        .map_err(|failed| match failed {
            Failed::Gone => missing(),
            Failed::Range(size) => Problem::new(Code::RangeNotSatisfiable, format!("there are {size} bytes")),
            Failed::Blobs(failed) => Problem::internal(&failed),
        })
}
