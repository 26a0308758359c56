//! The log on the page of a job, and the stream that makes it go on.

use axum::extract::{Query, State};
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::StreamExt as _;
use http::HeaderMap;
use serde::Deserialize;
use tasuki_model::id::TaskId;

use super::frame::Result;
use super::log::{Page, Piece, Renderer, page};
use crate::app::App;
use crate::http::error::{Chain, Code, Problem};
use crate::http::extract::Id;
use crate::http::rest::readable_log;
use crate::http::sse::{self, last_event_id};
use crate::identity::Caller;

/// Lines of the page unless all are asked for: enough to see what went wrong, few enough to load at once.
const SHOWN: u64 = 2000;
/// A log of more bytes is offered raw only.
const LARGEST: i64 = 64 * 1024 * 1024;
/// Changes that one event carries.
const PER_EVENT: usize = 400;

/// A log as the page shows it.
pub(super) struct LogView {
    pub(super) html: String,
    pub(super) live: bool,
    /// Sections that are open at the end.
    pub(super) depth: usize,
    pub(super) hidden_lines: u64,
    pub(super) whole_url: String,
    pub(super) raw_url: String,
    pub(super) stream_url: String,
}

/// The log of a task. `None`: the caller may not read it.
pub(super) async fn view(app: &App, caller: &Caller, task: TaskId, whole: bool) -> Result<Option<LogView>> {
    let head = match readable_log(app, caller, task).await {
        Ok(head) => head,
        Err(problem) if problem.code == Code::Forbidden => return Ok(None),
        Err(problem) => return Err(problem.into()),
    };
    let raw_url = format!("/api/v1/tasks/{task}/log");
    if head.size > LARGEST {
        return Ok(Some(LogView {
            html: "<div class=\"l\"><a>–</a><span>The log is too large for a page: see the raw log.</span></div>"
                .to_owned(),
            live: false,
            depth: 0,
            hidden_lines: 0,
            whole_url: String::new(),
            raw_url,
            stream_url: String::new(),
        }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(head.size).unwrap_or(0));
    let mut body = app.logs().read_all(task, 0);
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.map_err(|failed| Problem::internal(&failed))?);
    }
    let live = !head.finished;
    // Megabytes of text take their time; the threads that serve others must not wait for it.
    let rendered = tokio::task::spawn_blocking(move || render(&bytes, live, whole)).await;
    let (shown, pieces, hidden_lines) = rendered.map_err(|failed| Problem::internal(&failed))?;
    Ok(Some(LogView {
        html: shown.html,
        live,
        depth: shown.depth,
        hidden_lines,
        whole_url: format!("/tasks/{task}?all=1"),
        raw_url,
        stream_url: format!("/tasks/{task}/stream?after={pieces}"),
    }))
}

/// The page, how many changes made it, and how many lines it leaves out.
fn render(bytes: &[u8], live: bool, whole: bool) -> (Page, usize, u64) {
    let (mut renderer, mut pieces) = (Renderer::default(), Vec::new());
    renderer.push(bytes, &mut pieces);
    if !live {
        renderer.flush(&mut pieces);
    }
    let hidden = if whole {
        0
    } else {
        renderer.lines().saturating_sub(SHOWN)
    };
    (page(&pieces, hidden + 1), pieces.len(), hidden)
}

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: usize,
}

/// Changes of the shown log from the given one on: the same log gives the same changes, so their number says where a
/// page stands.
pub(super) async fn stream(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Query(after): Query<After>,
    headers: HeaderMap,
) -> Result {
    let task = TaskId(id);
    readable_log(&app, &caller, task).await?;
    let seen = last_event_id(&headers)
        .and_then(|id| usize::try_from(id).ok())
        .unwrap_or(after.after);
    Ok(follow(&app, task, seen))
}

fn follow(app: &App, task: TaskId, seen: usize) -> Response {
    let mut tail = app.logs().tail(task, 0);
    sse::stream(app, move |sink| async move {
        let mut renderer = Renderer::default();
        let mut count = 0;
        loop {
            let mut pieces = Vec::new();
            let over = match tail.next().await {
                Ok(Some(piece)) => {
                    renderer.push(&piece.bytes, &mut pieces);
                    false
                }
                Ok(None) => {
                    renderer.flush(&mut pieces);
                    true
                }
                Err(failed) => {
                    tracing::warn!(task.id = task.0, error = %Chain(&failed), "a log that is followed cannot be read");
                    return Ok(());
                }
            };
            let skip = usize::saturating_sub(seen, count).min(pieces.len());
            count += skip;
            for part in pieces[skip..].chunks(PER_EVENT) {
                count += part.len();
                sink.send(event(part, count)).await?;
            }
            if over {
                return sink.send(Event::default().event("end").data("{}")).await;
            }
        }
    })
}

fn event(pieces: &[Piece], count: usize) -> Event {
    let data = serde_json::to_string(pieces).unwrap_or_default();
    Event::default().event("pieces").id(count.to_string()).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_shows_its_end() {
        let log: String = (1..=3000).map(|n| format!("line {n}\n")).collect();
        let (shown, pieces, hidden) = render(log.as_bytes(), true, false);
        assert_eq!((pieces, hidden), (3000, 1000));
        assert!(!shown.html.contains("id=\"L1000\"") && shown.html.contains("id=\"L1001\""));
        let (all, _, hidden) = render(log.as_bytes(), true, true);
        assert!(hidden == 0 && all.html.contains("id=\"L1\""));
    }
}
