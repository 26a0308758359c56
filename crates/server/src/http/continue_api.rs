//! CircleCI's `POST /api/v2/pipeline/continue`, which a job of a `setup` configuration calls. The key in the body is the
//! only credential. Answers are `{"message": …}`, as CircleCI gives them.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::identity::token;
use crate::triggers::Continued;

/// The routes below `/api/v2`.
pub(super) fn router() -> Router<App> {
    Router::new().route("/pipeline/continue", post(follow))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    continuation_key: String,
    configuration: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

async fn follow(State(app): State<App>, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        let needed = "the body is JSON with `continuation-key`, `configuration` and `parameters`";
        return said(StatusCode::BAD_REQUEST, needed);
    };
    let hash = token::digest(&asked.continuation_key);
    let parameters = asked.parameters.unwrap_or_default().into_iter().collect();
    match app
        .triggers()
        .continue_setup(hash, asked.configuration, parameters)
        .await
    {
        Ok(Continued::Made(id)) => {
            let message = format!("The pipeline is continued: {}/pipelines/{id}", app.url());
            said(StatusCode::OK, &message)
        }
        Ok(Continued::Nothing) => said(StatusCode::OK, "The pipeline ends here: the configuration has no jobs."),
        Ok(Continued::UnknownKey) => said(StatusCode::UNAUTHORIZED, "The continuation key is not known."),
        Ok(Continued::Refused(why)) => said(StatusCode::BAD_REQUEST, &why.join("\n")),
        Err(failed) => {
            tracing::error!(error = %failed, "a pipeline cannot be continued");
            said(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The pipeline cannot be continued now.",
            )
        }
    }
}

fn said(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}
