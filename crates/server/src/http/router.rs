//! All routes, with what every answer shares.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{Code, Problem};
use super::{continue_api, git, headers, health, hooks, panic, release_api, request_id, rest, runner_api, trigger_api};
use crate::app::App;
use crate::metrics::HttpLabels;
use crate::ui;

/// Everything that the server answers to.
pub fn router(app: &App) -> Router {
    // One layer made of all: each further one of a router costs every request a copy of those below it. The first is
    // the outermost.
    let shared = ServiceBuilder::new()
        .layer(from_fn(request_id::layer))
        .layer(from_fn(headers::layer))
        .layer(CatchPanicLayer::custom(panic::answer))
        .layer(from_fn_with_state(app.clone(), count))
        .layer(DefaultBodyLimit::max(app.config().limits.json_bytes));
    Router::new()
        .nest(
            "/api/v4",
            runner_api::router(app)
                .merge(trigger_api::router())
                .merge(release_api::router()),
        )
        .nest("/api/v2", continue_api::router())
        .nest("/api/v1", rest::router(app))
        .route(
            "/hooks/{forge}",
            post(hooks::receive).layer(DefaultBodyLimit::max(hooks::LARGEST)),
        )
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(ui::router(app))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(shared)
        .with_state(app.clone())
}

async fn not_found(State(app): State<App>, request: Request) -> Response {
    if git::split(request.uri().path()).is_some() {
        return git::serve(&app, request).await;
    }
    let (parts, _) = request.into_parts();
    match ui::by_project_path(&app, &parts.method, parts.uri.path(), &parts.headers).await {
        Some(page) => page,
        None => Problem::not_found(parts.uri.path()).into_response(),
    }
}

async fn wrong_method(request: Request) -> Response {
    Problem::new(
        Code::MethodNotAllowed,
        format!("{} {}", request.method(), request.uri().path()),
    )
    .into_response()
}

/// The address of the other end of the connection.
#[must_use]
pub fn peer(extensions: &http::Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip().to_canonical())
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let part = part(request.uri().path());
    let response = next.run(request).await;
    let status = match response.status().as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    app.metrics()
        .http_requests
        .get_or_create(&HttpLabels { part, status })
        .inc();
    response
}

fn part(path: &str) -> &'static str {
    match path.as_bytes() {
        [b'/', b'a', b'p', b'i', b'/', b'v', b'4', b'/', ..] => "runner",
        [b'/', b'a', b'p', b'i', b'/', ..] => "api",
        [b'/', b'h', b'o', b'o', b'k', b's', b'/', ..] => "hooks",
        _ if path.contains(".git/") => "git",
        _ if matches!(path, "/metrics" | "/healthz" | "/readyz") => "health",
        _ => "ui",
    }
}
