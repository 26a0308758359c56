//! Parts of requests, with refusals that say what is wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::error::{Code, Problem};
use crate::app::App;
use crate::identity::Caller;

/// A JSON body. Absent and empty bodies count as `{}`, so that calls without parameters need none.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let is_json = kind.is_none_or(|kind| kind.starts_with("application/json") || kind.contains("+json"));
        if !is_json {
            let detail = format!("send application/json, not {}", kind.unwrap_or_default());
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        let bytes = body(request, app).await?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
            b"{}"
        } else {
            &bytes
        };
        parse(text).map(Self)
    }
}

/// The whole body, up to the limit for JSON.
pub(super) async fn body(request: Request, app: &App) -> Result<Bytes, Problem> {
    let limit = app.config().limits.json_bytes;
    Bytes::from_request(request, app).await.map_err(|refused| {
        if refused.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(Code::TooLarge, format!("at most {limit} bytes are read"))
        } else {
            Problem::new(Code::BadRequest, "the body broke off")
        }
    })
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(text).map_err(|wrong| match wrong.classify() {
        serde_json::error::Category::Data => Problem::new(Code::Invalid, wrong.to_string()),
        _ => Problem::new(Code::BadRequest, format!("the body is not JSON: {wrong}")),
    })
}

/// An id in the path.
pub struct Id(pub i64);

impl FromRequestParts<App> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found(parts.uri.path()))?;
        text.parse().map(Self).map_err(|_| Problem::not_found(parts.uri.path()))
    }
}

/// One name in the path.
pub struct Name(pub String);

impl FromRequestParts<App> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found(parts.uri.path()))?;
        Ok(Self(text))
    }
}

/// Two names in the path.
pub struct Names(pub String, pub String);

impl FromRequestParts<App> for Names {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path((one, two)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found(parts.uri.path()))?;
        Ok(Self(one, two))
    }
}

/// Query parameters.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Query::<T>::from_request_parts(parts, app)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|wrong| Problem::new(Code::BadRequest, wrong.body_text()))
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    /// Who asks, as the guard of the route found out.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::nobody))
    }
}

/// The key that makes a repeated request harmless: printable, at most 200 characters.
///
/// # Errors
/// The header is there but cannot be used.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if (1..=200).contains(&text.len()) => Ok(Some(text)),
        _ => Err(Problem::invalid(
            "Idempotency-Key",
            "between 1 and 200 printable characters",
        )),
    }
}
