//! The web user interface: pages that are whole without JavaScript and live with it.
//!
//! Pages are made from the same types that the API gives, so that both say the same. Nothing is inline: the
//! content security policy allows scripts and styles only from our own files.

mod assets;
mod environments;
mod frame;
mod graph;
mod jobs;
pub mod log;
mod log_view;
mod login;
mod pages;
mod pipelines;
mod projects;
mod releases;
mod run;
mod runners;
mod show;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, Method};
use tasuki_store::projects as projects_table;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::http::error::{Code, Problem};
use crate::identity::{self, Access, session};

/// All pages.
pub fn router(app: &App) -> Router<App> {
    let open = Router::new()
        .route("/login", get(login::form).post(login::open))
        .route("/assets/{name}", get(assets::serve));
    let guarded = Router::new()
        .route("/logout", axum::routing::post(login::close))
        .merge(projects::router())
        .merge(pipelines::router())
        .merge(run::router())
        .merge(jobs::router())
        .merge(environments::router())
        .merge(releases::router())
        .merge(pages::router())
        .merge(runners::router())
        .route_layer(from_fn_with_state(app.clone(), guard));
    open.merge(guarded).layer(CompressionLayer::new())
}

/// Only with a session; who has none is asked to log in and comes back. Changes only from our own pages.
async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = match identity::authenticate(app.store(), request.headers(), app.now()).await {
        Ok(caller) => caller.filter(|caller| caller.access >= Access::Read),
        Err(failed) => return frame::problem(Problem::from(failed)),
    };
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(caller) = caller else {
        if !reading {
            return frame::problem(Problem::new(Code::Unauthorized, "log in first"));
        }
        let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", here)
            .finish();
        return Redirect::to(&format!("/login?{query}")).into_response();
    };
    if !reading {
        if caller.via == identity::Via::Cookie && !session::is_same_origin(request.headers()) {
            return frame::problem(Problem::new(
                Code::CsrfRejected,
                "open the page of this server and try again",
            ));
        }
        if caller.access < Access::Write && request.uri().path() != "/logout" {
            return frame::problem(Problem::new(Code::Forbidden, "you may only read"));
        }
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The page of the project whose path is the request's path: pipelines know their project's address by its name.
/// `None`: there is none, or the caller may not know.
pub async fn by_project_path(app: &App, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let path = path.trim_matches('/').to_owned();
    let caller = identity::authenticate(app.store(), headers, app.now()).await.ok()??;
    if caller.access < Access::Read {
        return None;
    }
    let project = app
        .store()
        .read(move |tx| projects_table::by_path(tx, &path))
        .await
        .ok()??;
    Some(Redirect::to(&format!("/projects/{}", project.id)).into_response())
}
