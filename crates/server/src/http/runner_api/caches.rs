//! `/tasuki/caches/<key>`: caches for runners that have no store of their own. Ours; stock runners do not know it.
//!
//! Without `space` they are those of GitLab's jobs, whose keys say whether the ref is protected. With it they are those of
//! typed steps, shared by all branches of the project: found by key or (`match=prefix`) by the beginning of it, and with
//! `If-None-Match: *` only written where there is none.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tasuki_model::id::{ProjectId, TaskId};
use tasuki_model::labels::Demand;
use tasuki_proto::gitlab::headers;
use tasuki_store::{Tx, caches, tasks};

use super::artifacts::{http_date, not_modified, refuse_download};
use super::job_token::shown;
use super::refusal::{Refusal, Result};
use crate::app::App;
use crate::blobs;
use crate::http::download::{self, Download};

const LONGEST_KEY: usize = 512;
/// Of the keys of typed steps.
const LONGEST_STEP_KEY: usize = 900;

/// Which part of a typed step's cache it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Space {
    Project,
    Home,
    Root,
}

impl Space {
    fn word(self) -> &'static str {
        match self {
            Self::Project => "step-project",
            Self::Home => "step-home",
            Self::Root => "step-root",
        }
    }
}

/// How a key is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Match {
    #[default]
    Exact,
    Prefix,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Wanted {
    space: Option<Space>,
    #[serde(default, rename = "match")]
    how: Match,
}

impl Wanted {
    /// The key as it is stored.
    fn key(self, user: &User, key: &str) -> String {
        match self.space {
            Some(space) => format!("{}:{key}", space.word()),
            None => user.key(key),
        }
    }

    fn find(self, tx: &mut Tx<'_>, user: &User, key: &str) -> tasuki_store::Result<Option<caches::Cache>> {
        let key = self.key(user, key);
        match self.how {
            Match::Exact => caches::get(tx, user.project, &key),
            Match::Prefix => caches::newest_with_prefix(tx, user.project, &key),
        }
    }
}

/// A task that reads or writes caches.
struct User {
    task: TaskId,
    project: ProjectId,
    protected: bool,
}

/// The live task of a token.
fn user(tx: &mut Tx<'_>, hash: &str) -> tasuki_store::Result<Option<User>> {
    Ok(tasks::by_token_hash(tx, hash)?.map(|row| {
        let demand: Demand = serde_json::from_str(&row.match_json).unwrap_or_default();
        User {
            task: row.id,
            project: row.project_id,
            protected: demand.protected,
        }
    }))
}

impl User {
    /// The key as it is stored. What jobs of protected branches keep for themselves lies in a space of its own, which
    /// no job of another branch can write, however it calls its keys. (A hashed key does not show what it is.)
    fn key(&self, key: &str) -> String {
        let hashed = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
        let space = if self.protected && (hashed || key.ends_with("-protected")) {
            "protected"
        } else {
            "common"
        };
        format!("{space}:{key}")
    }
}

fn check_key(key: &str, wanted: Wanted) -> Result<()> {
    let longest = wanted.space.map_or(LONGEST_KEY, |_| LONGEST_STEP_KEY);
    let fits = (1..=longest).contains(&key.len()) && !key.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(Refusal::bad_request("400 Bad Request: this is no cache key"))
    }
}

pub(super) async fn get(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(wanted): Query<Wanted>,
    map: HeaderMap,
) -> Result<Response> {
    check_key(&key, wanted)?;
    let hash = shown(&app, &map, "")?;
    let found = app
        .store()
        .read(move |tx| {
            let Some(user) = user(tx, &hash)? else { return Ok(None) };
            wanted.find(tx, &user, &key).map(Some)
        })
        .await?
        .ok_or_else(Refusal::forbidden)?;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "404 Not Found");
    let cache = found.ok_or_else(missing)?;
    let (id, now) = (cache.id, app.now());
    app.store().write(move |tx| caches::touch_all(tx, &[(id, now)])).await?;
    if not_modified(&map, cache.created_ms) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let what = Download {
        blob_key: &cache.blob_key,
        sha256: &cache.sha256,
        size: cache.size,
        filename: "cache.zip",
        media_type: "application/octet-stream",
    };
    let sent = download::send(&app, &map, &what).await;
    let mut response = sent.map_err(|failed| refuse_download(failed, missing()))?;
    if let Some(date) = http_date(cache.created_ms) {
        response.headers_mut().insert(header::LAST_MODIFIED, date);
    }
    if wanted.space.is_some()
        && let Some((_, key)) = cache.key.split_once(':')
        && let Ok(name) = HeaderValue::from_str(&escaped(key))
    {
        response.headers_mut().insert(headers::CACHE_KEY, name);
    }
    Ok(response)
}

/// A key may hold what a header may not.
fn escaped(key: &str) -> String {
    url::form_urlencoded::byte_serialize(key.as_bytes()).collect()
}

fn exists() -> Refusal {
    Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        "412 Precondition Failed: there is a cache of that key",
    )
}

pub(super) async fn put(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(wanted): Query<Wanted>,
    map: HeaderMap,
    body: Body,
) -> Result<StatusCode> {
    check_key(&key, wanted)?;
    let hash = shown(&app, &map, "")?;
    let owner = hash.clone();
    let only_new = map.get(header::IF_NONE_MATCH).is_some_and(|value| value == "*");
    let wanted = Wanted {
        how: Match::Exact,
        ..wanted
    };
    let name = key.clone();
    let (user_before, taken) = app
        .store()
        .read(move |tx| {
            let Some(user) = user(tx, &owner)? else { return Ok(None) };
            let taken = only_new && wanted.find(tx, &user, &name)?.is_some();
            Ok(Some((user, taken)))
        })
        .await?
        .ok_or_else(Refusal::forbidden)?;
    if taken {
        return Err(exists());
    }
    let pieces = body
        .into_data_stream()
        .map(|piece| piece.map_err(std::io::Error::other));
    let limit = app.config().limits.artifact_bytes;
    let upload = app
        .files()
        .upload("caches", Box::pin(pieces), limit)
        .await
        .map_err(|failed| match failed {
            blobs::Error::TooLarge { .. } => {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large")
            }
            blobs::Error::Body(_) => Refusal::bad_request("400 Bad Request: the upload broke off"),
            other => Refusal::internal(&other),
        })?;
    app.metrics().blob_bytes.inc_by(u64::try_from(upload.size).unwrap_or(0));
    let now = app.now();
    let kept = app
        .store()
        .write(move |tx| {
            // Who lost the task while it uploaded leaves nothing.
            let Some(user) = user(tx, &hash)?.filter(|user| user.task == user_before.task) else {
                return Ok(Kept::Lost);
            };
            if only_new && wanted.find(tx, &user, &key)?.is_some() {
                return Ok(Kept::Exists);
            }
            upload.keep(tx)?;
            let new = caches::NewCache {
                project_id: user.project,
                key: &wanted.key(&user, &key),
                size: upload.size,
                sha256: &upload.sha256,
                blob_key: &upload.blob_key,
            };
            caches::put(tx, &new, now)?;
            Ok(Kept::Stored)
        })
        .await?;
    match kept {
        Kept::Stored => Ok(StatusCode::CREATED),
        Kept::Exists => Err(exists()),
        Kept::Lost => Err(Refusal::forbidden()),
    }
}

/// What came of an upload.
enum Kept {
    Stored,
    /// Somebody else was faster.
    Exists,
    /// The task is over.
    Lost,
}
