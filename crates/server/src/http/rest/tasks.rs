//! `/tasks` with their logs: raw from any byte on, or followed live.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use tasuki_model::id::TaskId;
use tasuki_proto::rest::Task;
use tasuki_store::tasks;

use super::api::Api;
use super::view;
use crate::app::App;
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Id, Params};
use crate::http::sse::{self, last_event_id};
use crate::identity::Access::Read;
use crate::identity::{Access, Caller};
use crate::logs::Piece;

pub(super) fn declare(api: &mut Api) {
    api.add(Method::GET, "/tasks/{id}", Read, "Show a task", show)
        .gives::<Task>(200);
    api.add(
        Method::GET,
        "/tasks/{id}/log",
        Read,
        "The log as stored, from a byte on",
        log,
    )
    .query(&[("offset", "First byte (0)")])
    .gives_other("text/plain");
    api.add(
        Method::GET,
        "/tasks/{id}/log/events",
        Read,
        "Follow the log: `log` events with the text, whose id is the offset after it; `end` when it is over",
        follow,
    )
    .query(&[("offset", "First byte (0); `Last-Event-ID` goes before")])
    .gives_other("text/event-stream");
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    offset: u64,
}

async fn show(State(app): State<App>, Id(id): Id) -> Result<Json<Task>> {
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

/// The task exists, and the caller may read its log: what was written with debug tracing on shows values that are
/// hidden otherwise.
///
/// # Errors
/// 404, or 403 for a log with debug tracing.
pub(in crate::http) async fn readable(app: &App, caller: &Caller, task: TaskId) -> Result<Piece> {
    let known = app.store().read(move |tx| tasks::get(tx, task)).await?;
    if known.is_none() {
        return Err(Problem::not_found(format!("task {task}")));
    }
    let piece = app
        .logs()
        .read(task, 0)
        .await
        .map_err(|failed| Problem::internal(&failed))?;
    if piece.debug && caller.access < Access::Write {
        return Err(Problem::new(
            Code::Forbidden,
            "the log was written with debug tracing on: it needs write access",
        ));
    }
    Ok(piece)
}

/// Bytes of the whole log go into `X-Log-Size`, `X-Log-Final` says whether more may come.
async fn log(State(app): State<App>, Id(id): Id, Params(from): Params<From>, caller: Caller) -> Result<Response> {
    let task = TaskId(id);
    let head = readable(&app, &caller, task).await?;
    let offset = i64::try_from(from.offset).unwrap_or(i64::MAX);
    if offset > head.size {
        return Err(Problem::new(
            Code::RangeNotSatisfiable,
            format!("the log has {} bytes", head.size),
        ));
    }
    let mut response = Body::from_stream(app.logs().read_all(task, offset)).into_response();
    let map = response.headers_mut();
    map.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    map.insert(HeaderName::from_static("x-log-size"), HeaderValue::from(head.size));
    let state = if head.finished { "true" } else { "false" };
    map.insert(HeaderName::from_static("x-log-final"), HeaderValue::from_static(state));
    Ok(response)
}

/// The text of each event ends at the end of a character, so that what is cut into events reads as it was written.
async fn follow(
    State(app): State<App>,
    Id(id): Id,
    Params(from): Params<From>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response> {
    let task = TaskId(id);
    readable(&app, &caller, task).await?;
    let from = last_event_id(&headers).unwrap_or(from.offset);
    let mut tail = app.logs().tail(task, i64::try_from(from).unwrap_or(i64::MAX));
    Ok(sse::stream(&app, move |sink| async move {
        let mut rest: Vec<u8> = Vec::new();
        let mut offset = from;
        loop {
            match tail.next().await {
                Ok(Some(piece)) => rest.extend_from_slice(&piece.bytes),
                Ok(None) => {
                    if !rest.is_empty() {
                        offset += rest.len() as u64;
                        sink.send(text_event(&rest, offset)).await?;
                    }
                    return sink.send(Event::default().event("end").data("{}")).await;
                }
                Err(failed) => {
                    tracing::warn!(task.id = task.0, error = %failed, "a log that is followed cannot be read");
                    return Ok(());
                }
            }
            let whole = whole_characters(&rest);
            if whole > 0 {
                offset += whole as u64;
                let text: Vec<u8> = rest.drain(..whole).collect();
                sink.send(text_event(&text, offset)).await?;
            }
        }
    }))
}

/// JSON, because an event's own lines would swallow carriage returns.
fn text_event(bytes: &[u8], end: u64) -> Event {
    let text = serde_json::to_string(&String::from_utf8_lossy(bytes)).unwrap_or_default();
    Event::default()
        .event("log")
        .id(end.to_string())
        .data(format!("{{\"offset\":{end},\"text\":{text}}}"))
}

/// How many bytes until the last character that is whole. Bytes that are no UTF-8 at all count as whole.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(wrong) if wrong.error_len().is_none() => wrong.valid_up_to(),
        Err(_) => {
            let tail = bytes.len().saturating_sub(3);
            let open = (tail..bytes.len()).find(|at| {
                std::str::from_utf8(&bytes[*at..])
                    .is_err_and(|wrong| wrong.valid_up_to() == 0 && wrong.error_len().is_none())
            });
            open.unwrap_or(bytes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_with_whole_characters() {
        let check = |bytes: &[u8], expected: usize| assert_eq!(whole_characters(bytes), expected, "{bytes:?}");
        check(b"abc", 3);
        check("aü".as_bytes(), 3);
        check(&"aü".as_bytes()[..2], 1);
        check(&"a😀".as_bytes()[..4], 1);
        check(b"a\xff", 2);
        check(b"a\xffb\xf0\x9f", 3);
        check(b"", 0);
    }
}
