//! `/hooks/{forge}`: webhooks. The body is taken as it came, since its signature is over these very bytes.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{Extensions, HeaderMap, StatusCode};
use serde_json::json;

use super::error::{Code, Problem};
use super::peer;
use crate::app::App;
use crate::triggers::forge::Forge;
use crate::triggers::{HookRefused, Received};

/// Bytes of a webhook: what GitHub sends at most.
pub(super) const LARGEST: usize = 25 * 1024 * 1024;

pub(super) async fn receive(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> Result<Response, Problem> {
    let forge = Forge::parse(&name).ok_or_else(|| Problem::not_found(format!("a forge called {name}")))?;
    let (address, now) = (peer(&extensions), app.now());
    if let Err(refused) = app.failed_logins().check(address, now.0) {
        let mut problem = Problem::new(Code::RateLimited, "too many webhooks that belong to no project");
        problem.retry_after_s = Some(refused.retry_after_s);
        return Err(problem);
    }
    match app.triggers().receive(forge, &headers, &body).await {
        Ok(Received::Stored) => Ok(accepted(json!({ "stored": true }))),
        Ok(Received::Repeated) => Ok(accepted(json!({ "stored": true, "repeated": true }))),
        Ok(Received::Ignored(why)) => Ok(accepted(json!({ "stored": false, "ignored": why }))),
        Err(HookRefused::Body(wrong)) => Err(Problem::new(Code::BadRequest, wrong.to_string())),
        Err(HookRefused::Unknown) => {
            let _ = app.failed_logins().take(address, now.0);
            Err(Problem::new(Code::Forbidden, HookRefused::Unknown.to_string()))
        }
        Err(HookRefused::Store(failed)) => Err(failed.into()),
    }
}

fn accepted(body: serde_json::Value) -> Response {
    (StatusCode::ACCEPTED, Json(body)).into_response()
}
