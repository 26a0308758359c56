//! GitHub: repository, organization and app hooks. `X-Hub-Signature-256` signs the raw body.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tasuki_model::secret::Secret;

use super::{Error, Event, PushOptions, RawPush, Repository, git_ref, merge, of_push, push, signature, text};

/// Names the event, e.g. `push`.
pub(super) const EVENT: &str = "x-github-event";

/// The older `X-Hub-Signature` (SHA-1) is never enough.
pub(super) fn verify(headers: &HeaderMap, body: &[u8], secret: &Secret) -> bool {
    text(headers, "x-hub-signature-256")
        .and_then(|value| value.strip_prefix("sha256="))
        .is_some_and(|hex| signature::is_hmac(hex, body, secret))
}

/// Stays the same when a delivery is repeated by hand.
pub(super) fn delivery(headers: &HeaderMap) -> Option<&str> {
    text(headers, "x-github-delivery")
}

/// Gitea names its fields alike.
pub(super) fn repository(body: &Value) -> Repository {
    let repository = &body["repository"];
    let fields = ["clone_url", "ssh_url", "html_url", "git_url"];
    let addresses = fields
        .iter()
        .filter_map(|field| repository[field].as_str())
        .map(str::to_owned)
        .collect();
    Repository { addresses }
}

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    full_ref: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    head_commit: Option<HeadCommit>,
    pusher: Option<Pusher>,
    sender: Option<Sender>,
}

/// The commit that the ref leads to, through an annotated tag.
#[derive(Deserialize)]
struct HeadCommit {
    id: String,
}

#[derive(Deserialize)]
struct Pusher {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Sender {
    login: String,
}

pub(super) fn parse(event: &str, body: &Value) -> Result<Event, Error> {
    match event {
        "push" => {}
        "ping" => return Ok(Event::Ignored("the webhook works")),
        "pull_request" => return merge::pull(body),
        _ => return Ok(Event::Ignored("only pushes and pull requests start pipelines")),
    }
    let (read, payload) = (PushBody::deserialize(body), of_push(body));
    let body = read.map_err(|source| Error::Body {
        forge: "github",
        source,
    })?;
    if body.deleted {
        return Ok(Event::Deleted(git_ref(&body.full_ref)?));
    }
    let (name, mail) = body
        .pusher
        .map(|p| (p.name.unwrap_or_default(), p.email.unwrap_or_default()))
        .unwrap_or_default();
    let login = body.sender.map_or_else(|| name.clone(), |sender| sender.login);
    push(RawPush {
        full_ref: &body.full_ref,
        before: &body.before,
        after: body.head_commit.as_ref().map_or(&body.after, |commit| &commit.id),
        user: (!login.is_empty()).then_some((login, name, mail)),
        options: PushOptions::default(),
        payload: Some(payload),
    })
}
