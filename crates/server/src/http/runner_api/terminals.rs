//! `GET /tasuki/terminals/:id`: a runner fetches a terminal that somebody wants in its job. Ours; stock runners do not
//! know it.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use tasuki_model::id::TaskId;
use tasuki_proto::gitlab::headers;
use tasuki_proto::terminal::UPGRADE;

use super::job_token::shown;
use super::refusal::{Refusal, Result};
use crate::app::App;
use crate::http::upgrade::{requested, switching};

/// Adds the id of the terminal that somebody wants in the task, if somebody does.
pub(super) fn told(app: &App, task: TaskId, mut response: Response) -> Response {
    if let Some(id) = app.terminals().wanted(task)
        && let Ok(mut value) = HeaderValue::from_str(id.expose())
    {
        value.set_sensitive(true);
        response
            .headers_mut()
            .insert(HeaderName::from_static(headers::TERMINAL), value);
    }
    response
}

/// Only the task in which it is wanted gets it, and once. Everybody else learns nothing of it.
pub(super) async fn fetch(State(app): State<App>, Path(id): Path<String>, mut request: Request) -> Result<Response> {
    let hash = shown(&app, request.headers(), "")?;
    let task = app.scheduler().task_of_token(&hash).await?;
    let task = task.ok_or_else(Refusal::forbidden)?;
    let map = request.headers().clone();
    let Some(line) = requested(&map, request.extensions_mut()) else {
        let text = format!("426 Upgrade Required: send Connection: Upgrade and Upgrade: {UPGRADE}");
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, text));
    };
    if app.terminals().dialled(task, &id, line) {
        Ok(switching())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, "404 Not Found"))
    }
}
