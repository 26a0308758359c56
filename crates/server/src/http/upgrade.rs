//! Connections that go on in another protocol.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tasuki_proto::terminal::UPGRADE;

/// The connection of a request that asks for a terminal's protocol, to be had once it was answered with [`switching`].
/// `None`: it does not ask, or something before the server keeps the connection to itself.
pub(super) fn requested(headers: &HeaderMap, extensions: &mut Extensions) -> Option<OnUpgrade> {
    let asks = |name, word: &str| {
        headers.get_all(name).iter().any(|value| {
            let words = value.to_str().unwrap_or_default().split(',');
            words.map(str::trim).any(|found| found.eq_ignore_ascii_case(word))
        })
    };
    if asks(header::CONNECTION, "upgrade") && asks(header::UPGRADE, UPGRADE) {
        extensions.remove::<OnUpgrade>()
    } else {
        None
    }
}

/// 101: from here on frames.
pub(super) fn switching() -> Response {
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
    response
}
