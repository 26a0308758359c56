//! `/jobs/:id/artifacts`: what a task leaves, and what it fetches of others.

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tasuki_model::id::TaskId;
use tasuki_model::state::Status;
use tasuki_model::time::Timestamp;
use tasuki_pipeline::lang::gitlab::duration;
use tasuki_store::{Tx, artifacts, tasks};
use tokio::sync::mpsc;

use super::dotenv;
use super::job_token::{contact, shown};
use super::refusal::{Refusal, Result};
use crate::app::App;
use crate::blobs::{self, Body, Upload};
use crate::http::download::{self, Download, Failed};
use crate::payload::report_format;

/// Pieces of an upload between the connection and the store.
const IN_FLIGHT: usize = 4;
const LONGEST_NAME: usize = 255;

/// How an upload is described.
#[derive(Debug, Clone, Deserialize, Default)]
pub(super) struct Described {
    #[serde(default)]
    expire_in: Option<String>,
    #[serde(default)]
    artifact_format: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    filesize: Option<u64>,
}

/// What an upload will be noted as.
struct Noted {
    kind: String,
    format: &'static str,
    default_name: &'static str,
    expires: Option<Timestamp>,
}

impl Described {
    fn check(&self, app: &App, now: Timestamp) -> Result<Noted> {
        let kind = self
            .artifact_type
            .as_deref()
            .filter(|kind| !kind.is_empty())
            .unwrap_or("archive");
        let fits = kind.len() <= 64
            && kind
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            return Err(Refusal::bad_request("400 Bad Request: artifact_type is no known word"));
        }
        let (_, default_name) = report_format(kind);
        let format = match self.artifact_format.as_deref() {
            None | Some("" | "zip") => "zip",
            Some("gzip") => "gzip",
            Some("raw") => "raw",
            Some("tarzstd") => "tarzstd",
            Some("zipzstd") => "zipzstd",
            Some(_) => {
                return Err(Refusal::bad_request(
                    "400 Bad Request: artifact_format does not have a valid value",
                ));
            }
        };
        Ok(Noted {
            kind: kind.to_owned(),
            format,
            default_name,
            expires: self.expires(app, now)?,
        })
    }

    /// When it expires: as asked, else as the server's settings say; `never` is for ever.
    fn expires(&self, app: &App, now: Timestamp) -> Result<Option<Timestamp>> {
        let seconds = match self.expire_in.as_deref().map(str::trim) {
            Some("never") => return Ok(None),
            None | Some("") => match app.config().retention.artifacts_days {
                0 => return Ok(None),
                days => u64::from(days) * 86_400,
            },
            Some(text) => duration::parse(text)
                .ok_or_else(|| Refusal::bad_request("400 Bad Request: expire_in is no duration"))?,
        };
        Ok(Some(now.after(std::time::Duration::from_secs(seconds))))
    }
}

/// `POST /jobs/:id/artifacts/authorize`: whether an upload would be accepted. GitLab's front end asks it.
pub(super) async fn authorize(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(described): Query<Described>,
    map: HeaderMap,
) -> Result<Response> {
    let (limit, now) = (app.config().limits.artifact_bytes, app.now());
    let hash = shown(&app, &map, "")?;
    running(contact(&app, TaskId(id), &hash).await?)?;
    described.check(&app, now)?;
    if described.filesize.is_some_and(|size| size > limit) {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "413 Request Entity Too Large",
        ));
    }
    Ok(Json(json!({ "MaximumSize": limit })).into_response())
}

/// `POST /jobs/:id/artifacts`: takes the part named `file` and streams it into the store.
pub(super) async fn upload(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(described): Query<Described>,
    map: HeaderMap,
    mut parts: Multipart,
) -> Result<Response> {
    let (task, now) = (TaskId(id), app.now());
    let hash = shown(&app, &map, "")?;
    running(contact(&app, task, &hash).await?)?;
    let noted = described.check(&app, now)?;
    loop {
        let part = parts
            .next_field()
            .await
            .map_err(|broken| Refusal::new(broken.status(), broken.body_text()))?;
        let Some(field) = part else {
            return Err(Refusal::bad_request("400 Bad Request: there is no part named `file`"));
        };
        if field.name() != Some("file") {
            continue;
        }
        let filename = filename(field.file_name(), noted.default_name);
        let limit = if noted.kind == "dotenv" {
            // Compressed; what it unpacks to is checked below.
            app.config().limits.dotenv_bytes + 1024
        } else {
            app.config().limits.artifact_bytes
        };
        let upload = store(&app, field, limit).await?;
        if noted.kind == "dotenv" {
            dotenv::check(&app, &upload, noted.format).await?;
        }
        app.metrics().blob_bytes.inc_by(u64::try_from(upload.size).unwrap_or(0));
        note(&app, task, hash, noted, filename, upload, now).await?;
        return Ok((StatusCode::CREATED, Json(json!({ "message": "201 Created" }))).into_response());
    }
}

/// Artifacts are taken while the task runs, and while it is told to stop.
fn running(status: Status) -> Result<()> {
    match status {
        Status::Running | Status::Canceling => Ok(()),
        other => Err(Refusal::forbidden().with_job_status(other.as_str())),
    }
}

/// Only the last part of what the client calls the file, without anything that means something to a path.
fn filename(given: Option<&str>, default: &str) -> String {
    let last = given.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    if clean.is_empty() || clean == "." || clean == ".." || clean.len() > LONGEST_NAME {
        return default.to_owned();
    }
    clean
}

/// Streams a part into the store. A slow store slows the client down; nothing is held in memory.
async fn store(app: &App, mut field: Field<'_>, limit: u64) -> Result<Upload> {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(IN_FLIGHT);
    let pump = async move {
        while let Some(piece) = field.next().await {
            let broken = piece.is_err();
            let piece = piece.map_err(|error| std::io::Error::other(error.body_text()));
            if sender.send(piece).await.is_err() || broken {
                return;
            }
        }
    };
    let body: Body = Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let mut receiving = std::pin::pin!(app.files().upload("artifacts", body, limit));
    let mut pump = std::pin::pin!(pump);
    let stored = tokio::select! {
        stored = receiving.as_mut() => stored,
        () = pump.as_mut() => receiving.await,
    };
    stored.map_err(|failed| match failed {
        blobs::Error::TooLarge { .. } => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large"),
        blobs::Error::Body(_) => Refusal::bad_request("400 Bad Request: the upload broke off"),
        other => Refusal::internal(&other),
    })
}

/// Notes the upload, in the same transaction in which the token is found good once more: who lost the task while it
/// uploaded leaves nothing.
async fn note(
    app: &App,
    task: TaskId,
    hash: String,
    noted: Noted,
    filename: String,
    upload: Upload,
    now: Timestamp,
) -> Result<()> {
    let kept = app
        .store()
        .write(move |tx| {
            let Some(row) = tasks::by_token_hash(tx, &hash)?.filter(|row| row.id == task) else {
                return Ok(false);
            };
            upload.keep(tx)?;
            let new = artifacts::NewArtifact {
                task_id: task,
                job_id: row.job_id,
                pipeline_id: row.pipeline_id,
                project_id: row.project_id,
                kind: &noted.kind,
                format: noted.format,
                filename: &filename,
                size: upload.size,
                sha256: &upload.sha256,
                blob_key: &upload.blob_key,
                access: "developer",
                expires_ms: noted.expires,
            };
            artifacts::put(tx, &new, now)?;
            Ok(true)
        })
        .await?;
    if kept { Ok(()) } else { Err(Refusal::forbidden()) }
}

#[derive(Deserialize)]
pub(super) struct Direct {
    #[serde(default)]
    direct_download: Option<String>,
    /// Ours: another kind of file than the archive, by name.
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    filename: Option<String>,
}

impl Direct {
    fn find(&self, tx: &mut Tx<'_>, task: TaskId) -> tasuki_store::Result<Option<artifacts::Artifact>> {
        let kind = self.artifact_type.as_deref().unwrap_or("archive");
        match &self.filename {
            None => artifacts::of_kind(tx, task, kind),
            Some(name) => {
                let all = artifacts::of_task(tx, task)?;
                Ok(all.into_iter().find(|file| file.kind == kind && file.filename == *name))
            }
        }
    }
}

/// `GET /jobs/:id/artifacts`: the archive of an earlier task, for a task of the same project that runs now.
pub(super) async fn get(
    State(app): State<App>,
    Path(id): Path<i64>,
    Query(direct): Query<Direct>,
    map: HeaderMap,
) -> Result<Response> {
    let hash = shown(&app, &map, "")?;
    let now = app.now();
    let redirects = direct.direct_download.as_deref() == Some("true");
    let wanted = direct;
    let found = app
        .store()
        .read(move |tx| {
            let Some(reader) = tasks::by_token_hash(tx, &hash)? else {
                return Ok(None);
            };
            let archive = wanted.find(tx, TaskId(id))?;
            Ok(Some(archive.filter(|archive| archive.project_id == reader.project_id)))
        })
        .await?
        .ok_or_else(Refusal::forbidden)?;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "404 Not Found");
    let archive = found
        .filter(|archive| archive.expires_ms.is_none_or(|at| at > now))
        .ok_or_else(missing)?;
    if redirects && let Some(redirect) = download::redirect(&app, &archive.blob_key, now) {
        return Ok(redirect);
    }
    let what = Download {
        blob_key: &archive.blob_key,
        sha256: &archive.sha256,
        size: archive.size,
        filename: &archive.filename,
        media_type: "application/octet-stream",
    };
    download::send(&app, &map, &what)
        .await
        .map_err(|failed| refuse_download(failed, missing()))
}

/// A failed download in the protocol's words.
pub(super) fn refuse_download(failed: Failed, missing: Refusal) -> Refusal {
    match failed {
        Failed::Gone => missing,
        Failed::Range(_) => Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "416 Range Not Satisfiable"),
        Failed::Blobs(failed) => Refusal::internal(&failed),
    }
}

/// Not there since that time, in the form of HTTP dates.
pub(super) fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
    HeaderValue::from_str(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

/// Whether the client has what was made at `at`: it says so with `If-Modified-Since`, in whole seconds.
pub(super) fn not_modified(map: &HeaderMap, at: Timestamp) -> bool {
    let since = map.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    since.is_some_and(|since| since.as_second() >= at.0.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_only_names() {
        let check = |given: Option<&str>, expected: &str| assert_eq!(filename(given, "artifacts.zip"), expected);
        check(Some("default.zip"), "default.zip");
        check(Some("../../etc/passwd"), "passwd");
        check(Some("..\\..\\x.zip"), "x.zip");
        check(Some(".."), "artifacts.zip");
        check(Some("a\r\nb"), "ab");
        check(Some(""), "artifacts.zip");
        check(None, "artifacts.zip");
    }

    #[test]
    fn times_are_compared_in_seconds() {
        let at = Timestamp(1_700_000_000_900);
        let mut map = HeaderMap::new();
        assert!(!not_modified(&map, at));
        map.insert(header::IF_MODIFIED_SINCE, http_date(at).unwrap());
        assert!(not_modified(&map, at));
        assert!(!not_modified(&map, Timestamp(at.0 + 1000)));
        map.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static("yesterday"));
        assert!(!not_modified(&map, at));
    }
}
