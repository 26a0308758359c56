//! Repositories for runners: read-only, opened by the token of a live task of the same project.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tasuki_store::{projects, tasks};

use super::error::Problem;
use crate::app::App;
use crate::git;
use crate::identity::token;

/// The repository path and what is asked of it, where this is a request of git. Repositories have paths of any
/// depth, which no pattern of the router matches.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    path.trim_start_matches('/').split_once(".git/")
}

/// Answers a request of git.
pub(super) async fn serve(app: &App, request: Request) -> Response {
    let Some((project, what)) = split(request.uri().path()) else {
        return Problem::not_found(request.uri().path()).into_response();
    };
    let (project, what) = (project.to_owned(), what.to_owned());
    answer(app, project, &what, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(app: &App, path: String, what: &str, request: Request) -> Result<Response, Problem> {
    let Some(token) = password(request.headers()) else {
        return Ok(ask_for_token());
    };
    let hash = token::digest(&token);
    let found = app
        .store()
        .read(move |tx| {
            let task = tasks::by_token_hash(tx, &hash)?;
            Ok(task.zip(projects::by_path(tx, &path)?))
        })
        .await?;
    // A token of another project learns no more than a wrong one.
    let Some((task, project)) = found.filter(|(task, project)| task.project_id == project.id) else {
        return Ok(ask_for_token());
    };
    let mirror = app.mirrors().of(project.id);
    tracing::debug!(task.id = task.id.0, what, "git");
    let (parts, body) = request.into_parts();
    Ok(match (&parts.method, what) {
        (&Method::GET, "info/refs") => {
            let query = parts.uri.query().unwrap_or_default();
            let service = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "service");
            git::info_refs(
                &mirror,
                &parts.headers,
                service.as_ref().map(|(_, value)| value.as_ref()),
            )
            .await
        }
        (&Method::POST, "git-upload-pack") => git::upload_pack(&mirror, app.tasks(), &parts.headers, body).await,
        _ => (StatusCode::NOT_FOUND, "this is a read-only mirror\n").into_response(),
    })
}

/// The password of HTTP's basic authentication; the user's name does not matter.
fn password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':')
        .map(|(_, password)| password.to_owned())
        .filter(|password| !password.is_empty())
}

fn ask_for_token() -> Response {
    let mut response = (
        StatusCode::UNAUTHORIZED,
        Body::from("the token of a running job is needed\n"),
    )
        .into_response();
    let ask = HeaderValue::from_static("Basic realm=\"tasuki\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    response
}
