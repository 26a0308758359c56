//! For supervisors and monitoring.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use tasuki_store::settings;

use super::error::{Code, Problem};
use crate::app::App;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// It can do its work: the database answers and the server is not stopping.
pub(super) async fn ready(State(app): State<App>) -> Response {
    if app.draining().is_cancelled() {
        return Problem::new(Code::ShuttingDown, "").into_response();
    }
    match app.store().read(|tx| settings::get(tx, "ready")).await {
        Ok(_) => (StatusCode::OK, "ready\n").into_response(),
        Err(failed) => {
            tracing::warn!(error = %failed, "the database does not answer");
            Problem::new(Code::Unavailable, "the database does not answer").into_response()
        }
    }
}

/// Figures. Nothing in them is secret, so monitoring needs no token.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    (
        [(header::CONTENT_TYPE, OPENMETRICS)],
        app.metrics().encode(app.scheduler()),
    )
        .into_response()
}
