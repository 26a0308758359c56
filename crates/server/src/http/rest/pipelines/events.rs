//! Streams of changes.

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use tasuki_model::id::PipelineId;

use super::read;
use crate::app::{App, Change};
use crate::http::error::Result;
use crate::http::extract::Id;
use crate::http::sse;

/// Sends the pipeline at once and after every change (`pipeline` with its JSON, `change` for pages that read
/// themselves again); `end` when it is finished.
pub(super) async fn one(State(app): State<App>, Id(id): Id) -> Result<Response> {
    let id = PipelineId(id);
    // Before the first read: what changes during it wakes us after it.
    let mut watch = app.events().watch();
    let first = read(&app, id).await?;
    let inner = app.clone();
    Ok(sse::stream(&app, move |sink| async move {
        let mut shown = first;
        let mut changed = false;
        loop {
            sink.send(event("pipeline", &shown)).await?;
            if changed {
                sink.send(Event::default().event("change").data("{}")).await?;
            }
            if shown.status.is_final() {
                return sink.send(Event::default().event("end").data("{}")).await;
            }
            loop {
                match watch.next().await {
                    Some(Change::Pipeline(other)) if other != id => {}
                    Some(_) => break,
                    None => return Ok(()),
                }
            }
            changed = true;
            match read(&inner, id).await {
                Ok(next) => shown = next,
                Err(_) => return Ok(()),
            }
        }
    }))
}

/// Tells which pipelines changed; a page reads them again.
pub(super) async fn all(State(app): State<App>) -> Response {
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
