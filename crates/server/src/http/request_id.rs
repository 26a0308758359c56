//! A name for every request: taken from the caller where it is harmless, made here otherwise, and told back.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use tracing::Instrument as _;

/// The header that carries it, both ways.
pub(super) static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand, found among its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Names the request, logs its end with status and duration, and echoes the name.
pub(super) async fn layer(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| acceptable(text))
        .map_or_else(fresh, str::to_owned);
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let value = HeaderValue::from_str(&id).ok();
    request.extensions_mut().insert(RequestId(id));
    let started = tasuki_rt::Clock::instant();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        // 501 is what newer gitlab-runners are told when they look for a job router: nothing failed.
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::warn!(status = status.as_u16(), duration_ms, "answered with an error of ours");
        } else {
            tracing::debug!(status = status.as_u16(), duration_ms, "answered");
        }
    });
    if let Some(value) = value {
        response.headers_mut().insert(HEADER.clone(), value);
    }
    response
}

/// Anything else could forge lines in a log.
fn acceptable(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn fresh() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_are_taken_over() {
        let check = |text: &str, expected: bool| assert_eq!(acceptable(text), expected, "{text:?}");
        check("0af7651916cd43dd8448eb211c80319c", true);
        check("a-b_c.d", true);
        check("", false);
        check("a b", false);
        check("a\u{1b}[31m", false);
        check(&"x".repeat(65), false);
        assert!(acceptable(&fresh()));
    }
}
