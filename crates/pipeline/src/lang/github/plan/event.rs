//! What happened, as `github.event` tells it.

use serde_json::{Value as Json, json};
use tasuki_model::trigger::{GitRef, MergeRequest, Source, Trigger};

use crate::Context;

/// The events that start workflows here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Push,
    PullRequest,
    Dispatch,
    Schedule,
}

impl Event {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::PullRequest => "pull_request",
            Self::Dispatch => "workflow_dispatch",
            Self::Schedule => "schedule",
        }
    }
}

/// The event that stands for what started a pipeline.
pub(crate) fn of(trigger: &Trigger) -> Event {
    match trigger.origin.unwrap_or(trigger.source) {
        Source::Push | Source::External => Event::Push,
        Source::MergeRequestEvent | Source::ExternalPullRequestEvent => Event::PullRequest,
        Source::Schedule => Event::Schedule,
        Source::Web
        | Source::Trigger
        | Source::Api
        | Source::Pipeline
        | Source::ParentPipeline
        | Source::Chat
        | Source::Webide => Event::Dispatch,
    }
}

/// What happened to the pull request: as the forge says, else a push to it.
pub(crate) fn action(trigger: &Trigger) -> &str {
    let known = trigger.merge_request.as_ref().map(|request| request.action.as_str());
    let said = known.filter(|action| !action.is_empty()).or_else(|| {
        let payload = trigger.payload.as_ref();
        payload.and_then(|payload| payload.get("action")?.as_str())
    });
    said.unwrap_or("synchronize")
}

/// `github.ref`, `github.ref_name`, `github.ref_type`. A pull request that was merged is its base branch from then on.
pub(crate) fn refs(trigger: &Trigger) -> (String, String, &'static str) {
    if let Some(request) = trigger.merge_request.as_ref().filter(|request| request.merged) {
        let name = &request.target_branch;
        return (format!("refs/heads/{name}"), name.clone(), "branch");
    }
    match &trigger.git_ref {
        GitRef::Branch(name) => (format!("refs/heads/{name}"), name.clone(), "branch"),
        GitRef::Tag(name) => (format!("refs/tags/{name}"), name.clone(), "tag"),
        GitRef::MergeRequest { iid, .. } => (format!("refs/pull/{iid}/merge"), format!("{iid}/merge"), "branch"),
    }
}

/// `github.event`: the forge's payload where there is one, with what it lacks.
pub(crate) fn payload(context: &Context, inputs: &[(String, Json)]) -> Json {
    let mut made = made(context, inputs);
    if let (Some(Json::Object(given)), Json::Object(made)) = (&context.trigger.payload, &mut made) {
        for (key, value) in given {
            made.insert(key.clone(), value.clone());
        }
    }
    made
}

fn made(context: &Context, inputs: &[(String, Json)]) -> Json {
    let trigger = &context.trigger;
    let (git_ref, ..) = refs(trigger);
    let mut event = json!({
        "repository": repository(context),
        "sender": {"login": trigger.user.as_ref().map(|(login, ..)| login)},
    });
    let more = match of(trigger) {
        Event::Push => push(trigger, &git_ref),
        Event::PullRequest => {
            let request = trigger.merge_request.as_ref();
            json!({
                "action": action(trigger),
                "number": request.map(|request| request.iid),
                "pull_request": request.map(|request| pull_request(trigger, request)),
            })
        }
        Event::Dispatch => {
            let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let inputs: serde_json::Map<_, _> = inputs
                .iter()
                .map(|(name, value)| (name.clone(), Json::String(text(value))))
                .collect();
            json!({"ref": git_ref, "inputs": inputs})
        }
        Event::Schedule => {
            let description = trigger.schedule_description.as_deref();
            let cron = description.map(|text| super::super::turn_of(text).map_or(text, |(_, cron)| cron));
            json!({"schedule": cron})
        }
    };
    if let (Json::Object(event), Json::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    event
}

fn push(trigger: &Trigger, git_ref: &str) -> Json {
    let commit = &trigger.commit;
    let author = json!({"name": commit.author_name, "email": commit.author_email});
    let head = json!({
        "id": commit.sha,
        "message": commit.message,
        "timestamp": commit.timestamp,
        "author": author,
    });
    json!({
        "ref": git_ref,
        "before": commit.before_sha,
        "after": commit.sha,
        "created": commit.before_sha.bytes().all(|b| b == b'0'),
        "deleted": false,
        "forced": false,
        "head_commit": head,
        "commits": [head],
        "pusher": author,
    })
}

fn pull_request(trigger: &Trigger, request: &MergeRequest) -> Json {
    let labels: Vec<Json> = request.labels.iter().map(|name| json!({"name": name})).collect();
    let head = if request.source_sha.is_empty() {
        &trigger.commit.sha
    } else {
        &request.source_sha
    };
    let is_closed = request.merged || action(trigger) == "closed";
    json!({
        "number": request.iid,
        "title": request.title,
        "body": request.description,
        "draft": request.draft,
        "state": if is_closed { "closed" } else { "open" },
        "merged": request.merged,
        "labels": labels,
        "head": {"ref": request.source_branch, "sha": head, "repo": {"full_name": request.source_project}},
        "base": {"ref": request.target_branch, "sha": request.target_sha, "repo": {"full_name": request.target_project}},
    })
}

fn repository(context: &Context) -> Json {
    let project = &context.project;
    let (owner, name) = project.path.rsplit_once('/').unwrap_or(("", &project.path));
    json!({
        "id": project.id,
        "name": name,
        "full_name": project.path,
        "owner": {"login": owner},
        "default_branch": project.default_branch,
        "private": project.visibility != "public",
        "visibility": project.visibility,
        "description": project.description,
        "html_url": project.url,
    })
}
