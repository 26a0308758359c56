//! Stored bytes as an answer: whole or a range, or a redirect to the object store.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tasuki_model::time::Timestamp;

use crate::app::App;
use crate::blobs::{Error, Key};

/// How long an address of the object store opens what it names.
const DIRECT_LIFETIME: Duration = Duration::from_secs(300);

/// What is to be sent.
pub(super) struct Download<'a> {
    pub(super) blob_key: &'a str,
    pub(super) sha256: &'a str,
    /// Bytes.
    pub(super) size: i64,
    pub(super) filename: &'a str,
    pub(super) media_type: &'static str,
}

/// Why nothing is sent.
pub(super) enum Failed {
    /// The bytes are gone.
    Gone,
    /// The range lies outside; how many bytes there are.
    Range(u64),
    Blobs(Error),
}

/// Sends the bytes, or the part that the `Range` header asks for.
pub(super) async fn send(app: &App, headers: &HeaderMap, what: &Download<'_>) -> Result<Response, Failed> {
    let size = u64::try_from(what.size).unwrap_or(0);
    let range = match headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .map(|text| range(text, size))
    {
        None | Some(Asked::Everything) => None,
        Some(Asked::Part(range)) => Some(range),
        Some(Asked::Outside) => return Err(Failed::Range(size)),
    };
    let partial = range.is_some();
    let content = app
        .files()
        .read(what.blob_key, range, Some(what.sha256))
        .await
        .map_err(|failed| match failed {
            Error::NotFound { .. } => Failed::Gone,
            other => Failed::Blobs(other),
        })?;
    let length = content.range.end - content.range.start;
    let mut response = Body::from_stream(content.body).into_response();
    let map = response.headers_mut();
    map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(what.media_type));
    map.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(map, header::ETAG, &format!("\"{}\"", what.sha256));
    insert(map, header::CONTENT_DISPOSITION, &disposition(what.filename));
    if partial {
        let shown = format!(
            "bytes {}-{}/{}",
            content.range.start,
            content.range.end.saturating_sub(1),
            content.size
        );
        insert(map, header::CONTENT_RANGE, &shown);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Sends the caller to the object store, where that can be.
pub(super) fn redirect(app: &App, blob_key: &str, now: Timestamp) -> Option<Response> {
    let key = Key::new(blob_key).ok()?;
    let url = app.files().blobs().presigned_get(&key, now, DIRECT_LIFETIME)?;
    let location = HeaderValue::from_str(url.as_str()).ok()?;
    Some((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}

fn insert(map: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        map.insert(name, value);
    }
}

/// A download under this name, whatever is in it; never shown in the page.
fn disposition(filename: &str) -> String {
    let plain: String = filename
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !"\"\\/;".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("attachment; filename=\"{plain}\"")
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// No range, or one that is not understood: the whole is always a right answer.
    Everything,
    Part(Range<u64>),
    Outside,
}

fn range(text: &str, size: u64) -> Asked {
    let Some(spec) = text.trim().strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Asked::Everything;
    };
    let Some((from, to)) = spec.split_once('-') else {
        return Asked::Everything;
    };
    let range = match (
        from.trim().parse::<u64>(),
        to.trim().parse::<u64>(),
        from.trim(),
        to.trim(),
    ) {
        (Ok(from), Ok(to), ..) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), _, _, "") => from..size,
        (_, Ok(last), "", _) if last > 0 => size.saturating_sub(last)..size,
        _ => return Asked::Everything,
    };
    if range.start >= size {
        Asked::Outside
    } else {
        Asked::Part(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        let check = |text: &str, expected: Asked| assert_eq!(range(text, 100), expected, "{text}");
        check("bytes=0-9", Asked::Part(0..10));
        check("bytes=90-", Asked::Part(90..100));
        check("bytes=90-500", Asked::Part(90..100));
        check("bytes=-5", Asked::Part(95..100));
        check("bytes=-500", Asked::Part(0..100));
        check("bytes=100-", Asked::Outside);
        check("bytes=100-200", Asked::Outside);
        check("bytes=0-18446744073709551615", Asked::Part(0..100));
        check("bytes=5-2", Asked::Everything);
        check("bytes=0-1,4-5", Asked::Everything);
        check("bytes=x", Asked::Everything);
        check("lines=1-2", Asked::Everything);
    }

    #[test]
    fn names_of_downloads_cannot_break_out() {
        assert_eq!(
            disposition("a\"; filename=b\r\n.zip"),
            "attachment; filename=\"a___filename=b__.zip\""
        );
    }
}
