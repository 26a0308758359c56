//! `PATCH /jobs/:id/trace`: a piece of a job's log.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tasuki_model::id::TaskId;
use tasuki_model::reason::FailureReason;
use tasuki_model::state::Status;
use tasuki_proto::gitlab::{ContentRange, StoredRange, headers};

use super::job_token::{contact, refuse, shown_with_log};
use super::refusal::{Refusal, Result};
use super::terminals::told;
use super::update::answer;
use crate::app::App;
use crate::logs::{Appended, Patch};
use crate::scheduler::Error;

/// Seconds between two pieces while somebody follows the log. Otherwise it is as configured.
const WATCHED_S: u64 = 1;

#[derive(Deserialize)]
pub(super) struct Debug {
    #[serde(default)]
    debug_trace: Option<String>,
}

pub(super) async fn patch(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(debug): Query<Debug>,
    map: HeaderMap,
    data: Bytes,
) -> Result<Response> {
    let task = TaskId(id);
    let hash = shown_with_log(&app, &map)?;
    let status = contact(&app, task, &hash).await?;
    if status == Status::Pending {
        // Handed out, but never taken up: its runner has to say so first.
        return Err(Refusal::forbidden().with_job_status(status.as_str()));
    }
    let start = start(&map)?;
    let bytes = data.len() as u64;
    let patch = Patch {
        task,
        start,
        data,
        token_hash: hash.clone(),
        debug: debug.debug_trace.as_deref() == Some("true"),
    };
    let appended = app.logs().append(patch).await.map_err(|failed| match failed {
        crate::logs::Error::Store(failed) => failed.into(),
        other => Refusal::internal(&other),
    })?;
    match appended {
        Appended::Stored { size } => {
            app.metrics().log_bytes.inc_by(bytes);
            let pause = if app.logs().is_watched(task) {
                WATCHED_S
            } else {
                u64::from(app.config().limits.log_interval_s)
            };
            Ok(told(
                &app,
                task,
                ranged(answer(StatusCode::ACCEPTED, status, Some(pause)), size),
            ))
        }
        Appended::Gap { size } => {
            let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "416 Range Not Satisfiable");
            Ok(ranged(refusal.into_response(), size))
        }
        Appended::TooLarge { .. } => {
            app.scheduler()
                .drop_task(task, FailureReason::TraceSizeExceeded)
                .await?;
            Err(Refusal::forbidden().with_job_status(Status::Failed.as_str()))
        }
        Appended::Refused => Err(refuse(&app, task, &hash, Error::NotYours(None)).await),
    }
}

/// Only the start of the range counts: old runners sent an end that is one too far.
fn start(map: &HeaderMap) -> Result<i64> {
    let range = map.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let Some(range) = range else {
        return Err(Refusal::bad_request("400 Missing header Content-Range"));
    };
    let parsed: Option<ContentRange> = range.parse().ok();
    let start = parsed.and_then(|range| i64::try_from(range.start).ok());
    start.ok_or_else(|| Refusal::bad_request("400 Bad Request: Content-Range is not start-end"))
}

/// How many bytes are stored: where the next piece starts.
fn ranged(mut response: Response, size: i64) -> Response {
    let range = StoredRange {
        stored: u64::try_from(size).unwrap_or(0),
    };
    if let Ok(value) = HeaderValue::from_str(&range.to_string()) {
        response.headers_mut().insert(header::RANGE, value);
    }
    // The name of our own marker, so that clients can tell whom they talk to.
    response
        .headers_mut()
        .insert(HeaderName::from_static(headers::TASUKI), HeaderValue::from_static("1"));
    response
}
