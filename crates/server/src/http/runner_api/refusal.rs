//! Refusals and bodies in the protocol's form.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use tasuki_proto::gitlab::{ErrorBody, headers};

use crate::app::App;
use crate::http::error::Chain;

/// Seconds after which it is worth trying again when the database does not answer.
const RETRY_S: u64 = 1;
/// Bytes of the framework's own refusals.
const LONGEST_TEXT: usize = 4096;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: serde_json::Value,
    /// Status of the job at hand: tells the runner to stop.
    pub(super) job_status: Option<&'static str>,
    pub(super) retry_after_s: Option<u64>,
}

pub(super) type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into().into(),
            job_status: None,
            retry_after_s: None,
        }
    }

    /// The words of GitLab.
    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "403 Forbidden")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn with_job_status(mut self, status: &'static str) -> Self {
        self.job_status = Some(status);
        self
    }

    pub(super) fn too_many(retry_after_s: u64) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "429 Too Many Requests")
        }
    }

    /// Something of ours failed; the cause goes to the log only.
    pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "a runner's request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error")
    }
}

impl From<tasuki_store::Error> for Refusal {
    fn from(failed: tasuki_store::Error) -> Self {
        match &failed {
            tasuki_store::Error::Closed | tasuki_store::Error::Unavailable(_) | tasuki_store::Error::Contended => {
                tracing::warn!(error = %Chain(&failed), "the database did not answer a runner's request");
                Self {
                    retry_after_s: Some(RETRY_S),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "503 Service Unavailable")
                }
            }
            _ => Self::internal(&failed),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&ErrorBody { message: self.message }).unwrap_or_default();
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (self.status, json, body).into_response();
        let map = response.headers_mut();
        if let Some(status) = self.job_status {
            map.insert(
                HeaderName::from_static(headers::JOB_STATUS),
                HeaderValue::from_static(status),
            );
        }
        if let Some(seconds) = self.retry_after_s {
            map.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Refusals that the framework makes (an id that is no number, a body that is no multipart) in the protocol's form:
/// clients print `message` and nothing else.
pub(super) async fn in_its_form(response: Response) -> Response {
    let status = response.status();
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), LONGEST_TEXT).await;
    let text = text.map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    Refusal::new(status, format!("{status}: {text}")).into_response()
}

/// A JSON body, whatever its `Content-Type` says; an empty one counts as `{}`.
pub(super) struct Loose<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Loose<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|refused| Refusal::new(refused.status(), refused.body_text()))?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
            b"{}"
        } else {
            &bytes
        };
        let parsed = serde_json::from_slice(text);
        parsed
            .map(Self)
            .map_err(|wrong| Refusal::bad_request(format!("400 Bad Request: {wrong}")))
    }
}

/// A token in this header, or the one from the body.
pub(super) fn token<'a>(headers: &'a HeaderMap, name: &str, body: &'a str) -> Option<&'a str> {
    let header = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    header
        .filter(|token| !token.is_empty())
        .or(Some(body))
        .filter(|token| !token.is_empty())
}
