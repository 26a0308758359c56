//! Event streams (server-sent events) with backpressure and a sign of life.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::app::App;

/// Events that wait for a slow reader before the writer waits.
const BUFFER: usize = 16;
/// Proxies close connections that are silent for long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Where a stream's events go. Sending waits for a slow reader.
pub(crate) struct Sink(mpsc::Sender<Event>);

/// The reader has gone, or the server stops.
pub(crate) struct Gone;

impl Sink {
    /// Sends one event.
    ///
    /// # Errors
    /// [`Gone`]: end the stream.
    pub(crate) async fn send(&self, event: Event) -> Result<(), Gone> {
        self.0.send(event).await.map_err(|_| Gone)
    }
}

/// Answers with a stream that `feed` fills. It ends with `feed`, when the reader goes, or when the server stops.
pub(crate) fn stream<F, Fut>(app: &App, feed: F) -> Response
where
    F: FnOnce(Sink) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BUFFER);
    let (draining, gauge) = (app.draining().clone(), app.metrics().streams.clone());
    gauge.inc();
    let gone = sender.clone();
    app.tasks().spawn("event stream", async move {
        tokio::select! {
            _ = feed(Sink(sender)) => {}
            () = gone.closed() => {}
            () = draining.cancelled() => {}
        }
        gauge.dec();
    });
    let mut response = Sse::new(Events(receiver))
        .keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE))
        .into_response();
    // Tells proxies of the nginx family to pass each event on at once.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

struct Events(mpsc::Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

/// Where a reader that was cut off wants to go on: the id of the last event that it got.
#[must_use]
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}
