//! Our own API, `/api/v1`. Every endpoint is declared once: see [`api`].

mod api;
mod environments;
mod jobs;
mod openapi;
mod pages;
mod pipelines;
mod projects;
mod releases;
mod runners;
mod schedules;
mod shell;
mod tasks;
mod tokens;
mod variables;
pub mod view;

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::Method;
use tasuki_model::id::TaskId;
use tasuki_proto::rest::Version;

pub use api::{Api, Body, Endpoint};
pub use environments::{history as deployment_page, page as environment_page};
pub use jobs::why;
pub use pipelines::{Asked, Mark, forms_of, page as pipeline_page, start as start_pipeline, states as pipeline_states};
pub use releases::page as release_page;
pub use runners::clean_tags;

use crate::app::App;
use crate::http::error::Result;
use crate::identity::{Access, Caller};
use crate::logs::Piece;

/// All routes below `/api/v1`.
pub fn router(app: &App) -> Router<App> {
    let document = Arc::new(OnceLock::new());
    declare(app).into_router().route(
        "/openapi.json",
        get(move |State(app): State<App>| {
            let document: &serde_json::Value = document.get_or_init(|| {
                let (endpoints, mut schemas) = declare(&app).describe();
                openapi::document(&endpoints, &mut schemas)
            });
            let answer: Response = Json(document).into_response();
            std::future::ready(answer)
        }),
    )
}

/// The endpoints with their access, for tests and the reference.
#[must_use]
pub fn endpoints(app: &App) -> Vec<Endpoint> {
    declare(app).describe().0
}

fn declare(app: &App) -> Api {
    let mut api = Api::new(app.clone());
    api.add(
        Method::GET,
        "/version",
        Access::Nobody,
        "Version of the server",
        version,
    )
    .gives::<Version>(200);
    projects::declare(&mut api);
    variables::declare(&mut api);
    pipelines::declare(&mut api);
    schedules::declare(&mut api);
    environments::declare(&mut api);
    releases::declare(&mut api);
    pages::declare(&mut api);
    jobs::declare(&mut api);
    shell::declare(&mut api);
    tasks::declare(&mut api);
    runners::declare(&mut api);
    tokens::declare(&mut api);
    api
}

async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: String::new(),
    })
}

/// The query of a list.
#[derive(serde::Deserialize)]
struct Listing {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<String>,
}

/// How the query of a list is described.
const LISTING: &[(&str, &str)] = &[
    ("limit", "At most so many entries (20; up to 100)"),
    ("cursor", "`next` of the page before"),
];

impl Listing {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(20).clamp(1, 100)
    }
}

/// The beginning of a log that the caller may read.
///
/// # Errors
/// There is no such task, or its log was written with debug tracing on and the caller may only read.
pub async fn readable_log(app: &App, caller: &Caller, task: TaskId) -> Result<Piece> {
    tasks::readable(app, caller, task).await
}
