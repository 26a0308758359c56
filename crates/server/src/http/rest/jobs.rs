//! `/jobs`, `/tasks`, `/artifacts`.

use axum::Json;
use axum::extract::State;
use http::Method;
use tasuki_model::id::{JobId, TaskId};
use tasuki_proto::rest::{Job, Page, Task};
use tasuki_store::{jobs, tasks};

use super::api::Api;
use super::view;
use crate::app::App;
use crate::http::error::{Problem, Result};
use crate::http::extract::Id;
use crate::identity::Access::Read;

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
    api.add(Method::GET, "/tasks/{id}", Read, "Show a task", show_task)
        .gives::<Task>(200);
}

/// A job as the API shows it.
pub(super) async fn read(app: &App, id: i64) -> Result<Job> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            jobs::get(tx, JobId(id))?
                .map(|row| view::job(tx, &row, &url))
                .transpose()
        })
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("job {id}")))
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Job>> {
    read(&app, id).await.map(Json)
}

async fn tasks_of(State(app): State<App>, Id(id): Id) -> Result<Json<Page<Task>>> {
    Ok(Json(Page::whole(read(&app, id).await?.tasks)))
}

async fn show_task(State(app): State<App>, Id(id): Id) -> Result<Json<Task>> {
    let url = app.url().to_owned();
    let found = app
        .store()
        .read(move |tx| {
            tasks::get(tx, TaskId(id))?
                .map(|row| view::task(tx, &row, &url))
                .transpose()
        })
        .await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("task {id}")))
}
