//! The page of a job with its log.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tasuki_model::id::{JobId, TaskId};
use tasuki_model::reason::FailureReason;
use tasuki_proto::rest::{self as api, Status};
use tasuki_store::tasks;

use super::frame::{self, Frame, Result, not_found};
use super::log_view::{self, LogView};
use super::show::{Address, StatusView, Took, duration, prose, short_sha, size};
use crate::app::App;
use crate::http::extract::Id;
use crate::http::rest::{self, view};
use crate::identity::Caller;
use crate::scheduler::Play;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/play", post(play))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/jobs/{id}/retry", post(retry))
        .route("/tasks/{id}", get(show_task))
        .route("/tasks/{id}/stream", get(log_view::stream))
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    j: Head,
    failure: Option<Failure>,
    why: Option<Why>,
    log: Option<LogView>,
    artifacts: Vec<File>,
    attempts: Vec<Attempt>,
}

struct Head {
    url: String,
    name: String,
    stage: String,
    project: String,
    project_url: String,
    pipeline_url: String,
    pipeline_iid: i64,
    git_ref: String,
    short_sha: String,
    status: StatusView,
    took: Took,
    queued: Option<String>,
    runner: Option<String>,
    tags: String,
    environment: Option<Place>,
    coverage: Option<f64>,
    can_cancel: bool,
    can_retry: bool,
    can_play: bool,
}

/// The job's environment.
struct Place {
    name: String,
    /// What the job does to it, where that is not to deploy.
    action: Option<String>,
    /// Its page.
    page: Option<String>,
    /// Where it is to be found.
    address: Option<Address>,
}

/// Sentences as HTML.
struct Why {
    message: String,
    remedy: Option<String>,
}

struct Failure {
    title: String,
    more: Option<String>,
}

struct File {
    url: String,
    filename: String,
    size: String,
}

struct Attempt {
    url: String,
    label: String,
    shown: bool,
    status: StatusView,
}

#[derive(Deserialize)]
struct Extent {
    /// The whole log, however long.
    all: Option<String>,
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id, Query(extent): Query<Extent>) -> Result {
    page(&app, &caller, JobId(id), None, extent.all.is_some()).await
}

/// The page of the task's job with that task's log.
async fn show_task(State(app): State<App>, caller: Caller, Id(id): Id, Query(extent): Query<Extent>) -> Result {
    let found = app.store().read(move |tx| tasks::get(tx, TaskId(id))).await?;
    let Some(task) = found else {
        return Err(not_found("task"));
    };
    page(&app, &caller, task.job_id, Some(task.id), extent.all.is_some()).await
}

async fn page(app: &App, caller: &Caller, id: JobId, task: Option<TaskId>, whole: bool) -> Result {
    let url = app.url().to_owned();
    let found = app.store().read(move |tx| view::job_page(tx, id, task, &url)).await?;
    let Some(found) = found else {
        return Err(not_found("job"));
    };
    let shown = found
        .task
        .and_then(|id| found.job.tasks.iter().find(|task| task.id == id.0));
    let mut frame = Frame::new("pipelines", caller);
    if !found.job.status.is_final() {
        frame = frame.live(format!("/api/v1/pipelines/{}/events", found.job.pipeline_id));
    }
    let log = match shown {
        Some(task) if task.started_at.is_some() || task.log_size > 0 => {
            log_view::view(app, caller, TaskId(task.id), whole).await?
        }
        Some(_) | None => None,
    };
    let why = app.scheduler().why_pending(id).await?.map(|pending| {
        let why = rest::why(pending);
        Why {
            message: prose(&why.message),
            remedy: why.remedy.as_deref().map(prose),
        }
    });
    Ok(frame::page(&JobPage {
        frame,
        failure: failure(&found.job),
        why,
        log,
        artifacts: shown
            .map(|task| task.artifacts.iter().map(file).collect())
            .unwrap_or_default(),
        attempts: found
            .job
            .tasks
            .iter()
            .rev()
            .map(|task| attempt(task, found.task, found.job.tasks.len()))
            .collect(),
        j: head(&found.job, &found.pipeline, shown),
    }))
}

async fn play(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().play(JobId(id), Play { variables: Vec::new() }).await?;
    Ok(back(id))
}

async fn cancel(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().cancel_job(JobId(id)).await?;
    Ok(back(id))
}

async fn retry(State(app): State<App>, Id(id): Id) -> Result {
    app.scheduler().retry_job(JobId(id)).await?;
    Ok(back(id))
}

fn back(id: i64) -> Response {
    Redirect::to(&format!("/jobs/{id}")).into_response()
}

fn head(job: &api::Job, pipeline: &api::Pipeline, task: Option<&api::Task>) -> Head {
    let status = job.status;
    let waited = task.and_then(|task| {
        let started = task.started_at?;
        Some(duration(
            tasuki_model::time::Timestamp::from(started).since(task.queued_at.into()),
        ))
    });
    Head {
        url: format!("/jobs/{}", job.id),
        name: job.name.clone(),
        stage: job.stage.clone(),
        project: pipeline.project.clone(),
        project_url: format!("/projects/{}", pipeline.project_id),
        pipeline_url: format!("/pipelines/{}", pipeline.id),
        pipeline_iid: pipeline.iid,
        git_ref: pipeline.git_ref.clone(),
        short_sha: short_sha(&pipeline.sha),
        status: status.into(),
        took: match task {
            Some(task) => Took::new(task.started_at, task.finished_at),
            None => Took::new(job.started_at, job.finished_at),
        },
        queued: waited,
        runner: task.and_then(|task| task.runner.as_ref()).map(|runner| {
            if runner.name.is_empty() {
                format!("Runner {}", runner.id)
            } else {
                runner.name.clone()
            }
        }),
        tags: job.tags.join(", "),
        environment: job.environment.as_ref().map(place),
        coverage: job.coverage,
        can_cancel: !status.is_final() && status != Status::Canceling,
        can_retry: status.is_final() && status != Status::Skipped,
        can_play: matches!(status, Status::Manual | Status::Scheduled),
    }
}

fn place(environment: &api::JobEnvironment) -> Place {
    let deployment = environment.deployment.as_ref();
    Place {
        name: environment.name.clone(),
        action: Some(environment.action.clone()).filter(|action| action != "start"),
        page: environment.id.map(|id| format!("/environments/{id}")),
        address: deployment
            .and_then(|deployment| deployment.url.clone())
            .map(Address::new),
    }
}

fn failure(job: &api::Job) -> Option<Failure> {
    let name = job.failure_reason.as_deref()?;
    let mut title = FailureReason::parse(name).map_or_else(|| name.to_owned(), |reason| reason.title().to_owned());
    if let Some(first) = title.get(..1) {
        title = format!("{}{}", first.to_uppercase(), &title[1..]);
    }
    Some(Failure {
        title,
        more: job.exit_code.map(|code| format!("Exit code {code}")),
    })
}

fn file(artifact: &api::Artifact) -> File {
    File {
        url: format!("/api/v1/artifacts/{}/download", artifact.id),
        filename: artifact.filename.clone(),
        size: size(artifact.size),
    }
}

fn attempt(task: &api::Task, shown: Option<TaskId>, of: usize) -> Attempt {
    let part = if task.parallel_index > 0 {
        format!(", part {}", task.parallel_index + 1)
    } else {
        String::new()
    };
    Attempt {
        url: format!("/tasks/{}", task.id),
        label: format!("Attempt {}{part}", task.attempt),
        shown: of > 1 && shown == Some(TaskId(task.id)),
        status: task.status.into(),
    }
}
