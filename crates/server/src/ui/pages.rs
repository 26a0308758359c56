//! Pages that jobs published, read from their archives.
//!
//! They stand at the server's own address, and whoever may read the project may read them. What is in them was made by
//! a job and is not trusted: its policy allows no scripts and no forms, so that nothing in it can act as its reader.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tasuki_model::id::ProjectId;
use tasuki_store::pages::{self, Pages};

use super::frame::{PageProblem, Result, not_found};
use crate::app::App;
use crate::blobs::member::{self, MemberError};
use crate::http::error::{Code, Problem};
use crate::http::extract::{Id, Names};

/// Bytes of one file, unpacked: it is held in memory.
const MOST: u64 = 32 << 20;
/// Scripts never run and forms go nowhere: a page must not act as the person who reads it.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; \
     media-src 'self'; frame-src 'self'; frame-ancestors 'self'; form-action 'none'; base-uri 'none'; \
     sandbox allow-same-origin allow-popups allow-downloads";

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/projects/{id}/pages", get(top))
        .route("/projects/{id}/pages/", get(first))
        .route("/projects/{id}/pages/{*path}", get(below))
}

/// Relative addresses need the slash at the end.
async fn top(Id(id): Id) -> Redirect {
    Redirect::to(&format!("/projects/{id}/pages/"))
}

async fn first(State(app): State<App>, Id(id): Id, headers: HeaderMap) -> Result {
    show(&app, ProjectId(id), "", &headers).await
}

async fn below(State(app): State<App>, Names(id, path): Names, headers: HeaderMap) -> Result {
    let id = id.parse().map_err(|_| not_found("project"))?;
    show(&app, ProjectId(id), &path, &headers).await
}

async fn show(app: &App, project: ProjectId, path: &str, headers: &HeaderMap) -> Result {
    let now = app.now();
    let (place, rest) = path.split_once('/').unwrap_or((path, ""));
    let (place, rest, path) = (place.to_owned(), rest.to_owned(), path.to_owned());
    let found = app.store().read(move |tx| {
        if !place.is_empty()
            && let Some(pages) = pages::at(tx, project, &place, now)?
        {
            return Ok(Some((pages, rest, path == place)));
        }
        Ok(pages::at(tx, project, "", now)?.map(|pages| (pages, path, false)))
    });
    let Some((pages, path, lacks_slash)) = found.await? else {
        return Err(not_found("page"));
    };
    if lacks_slash {
        return Ok(Redirect::to(&format!("/projects/{project}/pages/{}/", pages.prefix)).into_response());
    }
    let tag = format!("\"{}\"", pages.sha256);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| {
        known
            .split(',')
            .any(|known| known.trim().trim_start_matches("W/") == tag)
    }) {
        return Ok(answer(StatusCode::NOT_MODIFIED, &tag, None, Vec::new()));
    }
    let asked = Asked::of(&pages.folder, &path);
    let size = u64::try_from(pages.size).unwrap_or_default();
    let found = member::first(app.files(), &pages.blob_key, size, asked.names(), MOST).await;
    let Some((name, content)) = found.map_err(|failed| unreadable(&failed))? else {
        return Err(not_found("page"));
    };
    Ok(asked.answer(&pages, &path, &name, &tag, content))
}

fn unreadable(failed: &MemberError) -> PageProblem {
    match failed {
        MemberError::TooLarge { .. } => Problem::new(Code::TooLarge, failed.to_string()),
        MemberError::Archive(_) | MemberError::Unpack(_) | MemberError::Stopping => Problem::internal(failed),
    }
    .into()
}

/// What may be meant by a path: names in the archive.
struct Asked {
    file: Option<String>,
    with_ending: Option<String>,
    index: String,
    missing: String,
}

impl Asked {
    fn of(folder: &str, path: &str) -> Self {
        let folder = folder.trim_start_matches("./").trim_matches('/');
        let below = |path: &str| match folder {
            "" | "." => path.to_owned(),
            folder => format!("{folder}/{path}"),
        };
        let named = Some(path).filter(|path| !path.is_empty() && !path.ends_with('/'));
        let within = match named {
            Some(path) => format!("{path}/"),
            None => path.to_owned(),
        };
        Self {
            file: named.map(below),
            with_ending: named.map(|path| below(&format!("{path}.html"))),
            index: below(&format!("{within}index.html")),
            missing: below("404.html"),
        }
    }

    fn names(&self) -> Vec<String> {
        let named = [self.file.clone(), self.with_ending.clone()];
        let always = [self.index.clone(), self.missing.clone()];
        named.into_iter().flatten().chain(always).collect()
    }

    fn answer(&self, pages: &Pages, path: &str, name: &str, tag: &str, content: Vec<u8>) -> Response {
        let asked_for = self.file.as_deref() == Some(name);
        if name == self.index && self.file.is_some() {
            // A folder: relative addresses in it need the slash at the end.
            let last = path.rsplit('/').next().unwrap_or_default();
            let last: String = url::form_urlencoded::byte_serialize(last.as_bytes()).collect();
            return Redirect::to(&format!("./{}/", last.replace('+', "%20"))).into_response();
        }
        let status = if name == self.missing && !asked_for {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        tracing::debug!(pages.id, name, "a page is read");
        answer(status, tag, Some(name), content)
    }
}

fn answer(status: StatusCode, tag: &str, name: Option<&str>, content: Vec<u8>) -> Response {
    let mut response = (status, content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Asked again each time: whether its reader may still see it, and whether it is still the same.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    match HeaderValue::from_str(tag) {
        Ok(tag) if status != StatusCode::NOT_FOUND => headers.insert(header::ETAG, tag),
        Ok(_) | Err(_) => None,
    };
    if let Some(name) = name {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let text = kind.type_() == "text";
        let kind = if text {
            format!("{kind}; charset=utf-8")
        } else {
            kind.to_string()
        };
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
    }
    response
}
