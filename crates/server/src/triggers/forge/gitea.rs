//! Gitea and Forgejo. `X-Gitea-Signature` is the bare hexadecimal HMAC of the raw body.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tasuki_model::secret::Secret;

use super::{Error, Event, PushOptions, RawPush, git_ref, merge, of_push, push, signature, text};

/// Forgejo sends its own names beside Gitea's.
fn either<'a>(headers: &'a HeaderMap, what: &str) -> Option<&'a str> {
    let names = [format!("x-gitea-{what}"), format!("x-forgejo-{what}")];
    names.iter().find_map(|name| text(headers, name))
}

pub(super) fn event(headers: &HeaderMap) -> Option<&str> {
    either(headers, "event")
}

pub(super) fn verify(headers: &HeaderMap, body: &[u8], secret: &Secret) -> bool {
    either(headers, "signature").is_some_and(|hex| signature::is_hmac(hex, body, secret))
}

pub(super) fn delivery(headers: &HeaderMap) -> Option<&str> {
    either(headers, "delivery")
}

#[derive(Deserialize)]
struct PushBody {
    #[serde(rename = "ref")]
    full_ref: String,
    before: String,
    after: String,
    pusher: Option<Person>,
}

#[derive(Deserialize)]
struct Person {
    #[serde(alias = "username")]
    login: String,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    email: String,
}

/// No push tells of a deleted branch or tag. The name comes without `refs/…`.
#[derive(Deserialize)]
struct DeleteBody {
    #[serde(rename = "ref")]
    name: String,
    ref_type: String,
}

fn deleted(body: &Value) -> Result<Event, Error> {
    let read = DeleteBody::deserialize(body);
    let body = read.map_err(|source| Error::Body { forge: "gitea", source })?;
    let folder = match body.ref_type.as_str() {
        "branch" => "heads",
        "tag" => "tags",
        _ => return Ok(Event::Ignored("neither a branch nor a tag was deleted")),
    };
    Ok(Event::Deleted(git_ref(&format!("refs/{folder}/{}", body.name))?))
}

pub(super) fn parse(event: &str, body: &Value) -> Result<Event, Error> {
    match event {
        "push" => {}
        // Some versions name the kind of change in the event itself.
        "pull_request"
        | "pull_request_sync"
        | "pull_request_assign"
        | "pull_request_label"
        | "pull_request_milestone"
        | "pull_request_review_request" => return merge::pull(body),
        // A created tag comes as `push` as well: reacting to both would start two pipelines.
        "create" => return Ok(Event::Ignored("the push event tells of created branches and tags")),
        "delete" => return deleted(body),
        _ => return Ok(Event::Ignored("only pushes and pull requests start pipelines")),
    }
    // `username` repeats `login` in some versions; the first of the two is kept.
    let payload = of_push(body);
    let mut body = body.clone();
    if let Some(pusher) = body["pusher"].as_object_mut()
        && pusher.contains_key("login")
    {
        pusher.remove("username");
    }
    let read = PushBody::deserialize(&body);
    let body = read.map_err(|source| Error::Body { forge: "gitea", source })?;
    push(RawPush {
        full_ref: &body.full_ref,
        before: &body.before,
        after: &body.after,
        user: body.pusher.map(|person| (person.login, person.full_name, person.email)),
        options: PushOptions::default(),
        payload: Some(payload),
    })
}
