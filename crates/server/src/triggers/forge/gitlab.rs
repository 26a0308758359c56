//! GitLab: project and system hooks. The secret travels as it is in `X-Gitlab-Token`.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use tasuki_model::secret::Secret;

use super::{Error, Event, PushOptions, RawPush, Repository, merge, push, signature, text};

/// Names the event, e.g. `Push Hook`.
pub(super) const EVENT: &str = "x-gitlab-event";

pub(super) fn verify(headers: &HeaderMap, secret: &Secret) -> bool {
    text(headers, "x-gitlab-token").is_some_and(|token| signature::is_token(token, secret))
}

/// `Idempotency-Key` stays the same over GitLab's own retries; older versions only have the event's id.
pub(super) fn delivery(headers: &HeaderMap) -> Option<&str> {
    text(headers, "idempotency-key").or_else(|| text(headers, "x-gitlab-event-uuid"))
}

pub(super) fn repository(body: &Value) -> Repository {
    let project = &body["project"];
    let fields = ["git_http_url", "git_ssh_url", "http_url", "ssh_url", "web_url"];
    let addresses = fields
        .iter()
        .filter_map(|field| project[field].as_str())
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
    /// The commit that a tag leads to; null when the ref was deleted.
    checkout_sha: Option<String>,
    #[serde(default)]
    user_username: String,
    #[serde(default)]
    user_name: String,
    user_email: Option<String>,
    #[serde(default)]
    push_options: Value,
}

pub(super) fn parse(event: &str, body: &Value) -> Result<Event, Error> {
    // A system hook carries pushes, too; the kind in the body tells.
    match (
        event,
        body["object_kind"].as_str().or_else(|| body["event_name"].as_str()),
    ) {
        ("Push Hook" | "Tag Push Hook" | "System Hook", Some("push" | "tag_push")) => {}
        ("Merge Request Hook" | "System Hook", Some("merge_request")) => return merge::gitlab(body),
        _ => return Ok(Event::Ignored("only pushes and merge requests start pipelines")),
    }
    let read = PushBody::deserialize(body);
    let body = read.map_err(|source| Error::Body {
        forge: "gitlab",
        source,
    })?;
    let user = (!body.user_username.is_empty())
        .then(|| (body.user_username, body.user_name, body.user_email.unwrap_or_default()));
    let deleted = body.after.bytes().all(|digit| digit == b'0');
    push(RawPush {
        full_ref: &body.full_ref,
        before: &body.before,
        after: body.checkout_sha.as_deref().filter(|_| !deleted).unwrap_or(&body.after),
        user,
        options: options(&body.push_options),
        payload: None,
    })
}

/// `{"ci": {"skip": true, "variable": {"A=b": 1}}}`: repeated values are keys with a count.
fn options(given: &Value) -> PushOptions {
    let ci = &given["ci"];
    let set = |name: &str| {
        ci[name]
            .as_bool()
            .unwrap_or_else(|| ci[name].as_i64().is_some_and(|n| n > 0))
    };
    let pairs = |name: &str| {
        let texts: Vec<&str> = match &ci[name] {
            Value::Object(map) => map.keys().map(String::as_str).collect(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => vec![text],
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        };
        texts
            .iter()
            .filter_map(|text| text.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    };
    PushOptions {
        skip: set("skip"),
        no_pipeline: set("no_pipeline"),
        variables: pairs("variable"),
        inputs: pairs("input"),
    }
}
