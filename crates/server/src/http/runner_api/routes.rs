//! What answers below `/api/v4`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::routing::{delete, get, patch, post, put};
use http::StatusCode;

use super::refusal::{Refusal, in_its_form};
use super::{artifacts, caches, register, request, terminals, trace, update};
use crate::app::App;

/// All routes below `/api/v4`.
pub fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/runners", post(register::register).delete(register::unregister))
        .route("/runners/verify", post(register::verify))
        .route("/runners/managers", delete(register::unregister_manager))
        .route("/runners/reset_authentication_token", post(register::reset))
        .route("/runners/{id}/reset_authentication_token", post(register::reset_by_id))
        .route("/runners/router/discovery", get(register::discovery))
        .route("/jobs/request", post(request::request))
        .route("/jobs/{id}", put(update::update))
        .route("/jobs/{id}/artifacts/authorize", post(artifacts::authorize))
        .route("/tasuki/terminals/{id}", get(terminals::fetch))
        .merge(trace_route(app))
        .merge(bulk())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(in_its_form))
}

async fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "404 Not Found")
}

async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed")
}

/// Pieces of logs may be larger than JSON.
fn trace_route(app: &App) -> Router<App> {
    Router::new()
        .route("/jobs/{id}/trace", patch(trace::patch))
        .layer(DefaultBodyLimit::max(app.config().limits.log_patch_bytes))
}

/// Bodies of any size: they stream, and have limits of their own.
fn bulk() -> Router<App> {
    Router::new()
        .route("/jobs/{id}/artifacts", post(artifacts::upload).get(artifacts::get))
        .route("/tasuki/caches/{*key}", put(caches::put).get(caches::get))
        .layer(DefaultBodyLimit::disable())
}
