//! Forges: who hosts a repository and tells us by webhook what happened to it.
//!
//! A forge is a folder with three functions; this file is the only one that knows them all.
//!
//! | Function | Contract |
//! |---|---|
//! | `verify` | whether the raw bytes were sent by who knows the secret; compares in constant time; called before anything of the body is believed |
//! | `delivery` | an id that a repeated delivery of the same event repeats |
//! | `parse` | what happened, from headers and body; never panics; what we do not react to is [`Event::Ignored`] with the reason |

mod gitea;
mod github;
mod gitlab;
mod merge;
mod signature;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tasuki_model::secret::Secret;
use tasuki_model::trigger::GitRef;

pub use merge::{Change, Merge};

use crate::git::Oid;

/// The forges whose webhooks are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forge {
    Gitlab,
    Github,
    /// Also Forgejo, which signs and speaks alike.
    Gitea,
}

/// What a webhook reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Branches or tags moved. Usually one.
    Push(Box<Push>),
    /// A branch or tag was deleted.
    Deleted(GitRef),
    /// A merge request was opened, changed or closed.
    Merge(Box<Merge>),
    /// Nothing that starts a pipeline; why, for the answer and the log.
    Ignored(&'static str),
}

/// A branch or tag that was created or moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    pub git_ref: GitRef,
    /// Tip before; `None` for a new ref.
    pub before: Option<Oid>,
    /// The commit to build (of an annotated tag: the commit it leads to, where the forge says it).
    pub after: Oid,
    /// Login, name, e-mail.
    pub user: Option<(String, String, String)>,
    pub options: PushOptions,
    /// What the forge sent, where it speaks as GitHub does: workflows see it as `github.event`.
    pub payload: Option<Value>,
}

/// What the person who pushed asked for with `git push -o`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushOptions {
    /// `ci.skip`: the pipeline is recorded as skipped.
    #[serde(default)]
    pub skip: bool,
    /// `ci.no_pipeline`: none is made at all.
    #[serde(default)]
    pub no_pipeline: bool,
    /// `ci.variable=KEY=value`.
    #[serde(default)]
    pub variables: Vec<(String, String)>,
    /// `ci.input=name=value`.
    #[serde(default)]
    pub inputs: Vec<(String, String)>,
}

/// Addresses under which the payload's repository may be registered here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    pub addresses: Vec<String>,
}

/// Why a webhook was not understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the body is not the JSON of a webhook of {forge}")]
    Body {
        forge: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the header {0} is missing")]
    Header(&'static str),
    #[error("the ref {0:?} is neither a branch nor a tag")]
    Ref(String),
    #[error("the commit id in {field} is not one")]
    Commit {
        field: &'static str,
        #[source]
        source: crate::git::Error,
    },
}

impl Forge {
    /// All of them, with the word used in addresses.
    pub const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Gitlab, "gitlab"),
        (Self::Github, "github"),
        (Self::Gitea, "gitea"),
    ];

    /// The word used in addresses (`/hooks/gitlab`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Github => "github",
            Self::Gitea => "gitea",
        }
    }

    /// The forge of that word; Forgejo is Gitea.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = if name == "forgejo" { "gitea" } else { name };
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(forge, _)| *forge)
    }

    /// Whether `body` was sent by someone who knows `secret`. `body` must be the bytes as received.
    #[must_use]
    pub fn verify(self, headers: &HeaderMap, body: &[u8], secret: &Secret) -> bool {
        match self {
            Self::Gitlab => gitlab::verify(headers, secret),
            Self::Github => github::verify(headers, body, secret),
            Self::Gitea => gitea::verify(headers, body, secret),
        }
    }

    /// An id that stays the same when the forge sends the same event again.
    #[must_use]
    pub fn delivery(self, headers: &HeaderMap, body: &[u8]) -> String {
        let given = match self {
            Self::Gitlab => gitlab::delivery(headers),
            Self::Github => github::delivery(headers),
            Self::Gitea => gitea::delivery(headers),
        };
        let id = given.filter(|id| id.len() <= 100 && id.bytes().all(|b| b.is_ascii_graphic()));
        format!(
            "{}:{}",
            self.as_str(),
            id.map_or_else(|| signature::digest(body), str::to_owned)
        )
    }

    /// The name of the event as the forge calls it, for the record.
    #[must_use]
    pub fn event_name(self, headers: &HeaderMap) -> Option<&str> {
        match self {
            Self::Gitlab => text(headers, gitlab::EVENT),
            Self::Github => text(headers, github::EVENT),
            Self::Gitea => gitea::event(headers),
        }
    }

    /// Which repository a body is about, to find the project whose secret has to fit. Nothing here is trusted yet.
    ///
    /// # Errors
    /// The body is not JSON.
    pub fn repository(self, headers: &HeaderMap, body: &[u8]) -> Result<Repository, Error> {
        let body = self.json(headers, body)?;
        Ok(match self {
            Self::Gitlab => gitlab::repository(&body),
            Self::Github | Self::Gitea => github::repository(&body),
        })
    }

    /// What happened. `event` is [`Forge::event_name`], `body` the JSON.
    ///
    /// # Errors
    /// The body lacks what its event must have.
    pub fn parse_event(self, event: &str, body: &Value) -> Result<Event, Error> {
        match self {
            Self::Gitlab => gitlab::parse(event, body),
            Self::Github => github::parse(event, body),
            Self::Gitea => gitea::parse(event, body),
        }
    }

    /// The body as JSON; GitHub also sends it as the form field `payload`.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
        let form =
            text(headers, "content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let parsed = if form {
            let field = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
            serde_json::from_str(field.as_ref().map_or("", |(_, value)| value))
        } else {
            serde_json::from_slice(body)
        };
        parsed.map_err(|source| Error::Body {
            forge: self.as_str(),
            source,
        })
    }
}

/// One header as text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What all three say about a push, in their common form.
struct RawPush<'a> {
    full_ref: &'a str,
    before: &'a str,
    after: &'a str,
    user: Option<(String, String, String)>,
    options: PushOptions,
    payload: Option<Value>,
}

/// What workflows see of a push. As at GitHub it lacks the lists of files, which may be long.
fn of_push(body: &Value) -> Value {
    let mut seen = body.clone();
    let commits = seen.get_mut("commits").and_then(Value::as_array_mut);
    let commits = commits.into_iter().flatten();
    for commit in commits.filter_map(Value::as_object_mut) {
        for list in ["added", "removed", "modified"] {
            commit.remove(list);
        }
    }
    seen
}

fn push(raw: RawPush<'_>) -> Result<Event, Error> {
    let after: Oid = raw
        .after
        .parse()
        .map_err(|source| Error::Commit { field: "after", source })?;
    if after.is_zero() {
        return Ok(Event::Deleted(git_ref(raw.full_ref)?));
    }
    let before: Oid = raw.before.parse().map_err(|source| Error::Commit {
        field: "before",
        source,
    })?;
    Ok(Event::Push(Box::new(Push {
        git_ref: git_ref(raw.full_ref)?,
        before: Some(before).filter(|id| !id.is_zero()),
        after,
        user: raw.user,
        options: raw.options,
        payload: raw.payload,
    })))
}

/// `refs/heads/…` or `refs/tags/…` with a name that git would accept.
pub(super) fn git_ref(full: &str) -> Result<GitRef, Error> {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let good = |name: &str| !name.is_empty() && !name.contains(bad) && !name.contains("..") && !name.starts_with('-');
    let refused = || Error::Ref(full.chars().take(100).collect());
    match (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/")) {
        (Some(name), _) if good(name) => Ok(GitRef::Branch(name.to_owned())),
        (_, Some(name)) if good(name) => Ok(GitRef::Tag(name.to_owned())),
        _ => Err(refused()),
    }
}

/// Host and path of an address, so that `git@example.org:a/b.git` and `https://example.org/a/b` are the same.
#[must_use]
pub fn same_place(address: &str) -> Option<String> {
    let (host, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(host, _)| host);
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{}/{path}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
