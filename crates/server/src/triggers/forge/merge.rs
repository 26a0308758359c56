//! Merge requests, as all forges tell of them. GitHub and Gitea call them pull requests.

use serde_json::Value;
use tasuki_model::trigger::MergeRequest;

use super::{Error, Event};
use crate::git::Oid;

/// A merge request that was opened, changed or closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    pub request: MergeRequest,
    /// Tip of the source branch.
    pub head: Oid,
    pub what: Change,
    /// Login, name, e-mail.
    pub user: Option<(String, String, String)>,
    /// What the forge sent, where it speaks as GitHub does: workflows see it as `github.event`.
    pub payload: Option<Value>,
    /// The commit that it was merged as.
    pub merge_commit: Option<Oid>,
}

/// What happened to a merge request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is open, with commits that were not built: a pipeline starts.
    Commits,
    /// It is open; title, labels or reviewers changed.
    Words,
    /// It was merged or closed.
    Closed,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item[key].as_str()).map(str::to_owned).collect()
}

fn head(id: &Value, field: &'static str) -> Result<Oid, Error> {
    let parsed = id.as_str().unwrap_or_default().parse();
    parsed.map_err(|source| Error::Commit { field, source })
}

/// GitLab's merge request hook.
pub(super) fn gitlab(body: &Value) -> Result<Event, Error> {
    let of = &body["object_attributes"];
    let what = match of["action"].as_str().unwrap_or_default() {
        "open" | "reopen" => Change::Commits,
        // `oldrev` is there only where the update brought commits.
        "update" if of["oldrev"].is_string() => Change::Commits,
        "close" | "merge" => Change::Closed,
        _ => Change::Words,
    };
    let labels = if body["labels"].is_array() {
        &body["labels"]
    } else {
        &of["labels"]
    };
    let user = &body["user"];
    let login = text(&user["username"]);
    let merged = of["action"] == "merge";
    Ok(Event::Merge(Box::new(Merge {
        head: head(&of["last_commit"]["id"], "object_attributes.last_commit.id")?,
        what,
        payload: None,
        merge_commit: of["merge_commit_sha"]
            .as_str()
            .filter(|_| merged)
            .and_then(|id| id.parse().ok()),
        user: (!login.is_empty()).then(|| (login, text(&user["name"]), text(&user["email"]))),
        request: MergeRequest {
            id: of["id"].as_i64().unwrap_or_default(),
            iid: of["iid"].as_i64().unwrap_or_default(),
            title: text(&of["title"]),
            description: text(&of["description"]),
            source_branch: text(&of["source_branch"]),
            source_project: text(&of["source"]["path_with_namespace"]),
            source_project_url: text(&of["source"]["web_url"]),
            target_branch: text(&of["target_branch"]),
            target_project: text(&of["target"]["path_with_namespace"]),
            target_project_url: text(&of["target"]["web_url"]),
            labels: texts(labels, "title"),
            assignees: texts(&body["assignees"], "username"),
            milestone: None,
            draft: of["draft"]
                .as_bool()
                .or(of["work_in_progress"].as_bool())
                .unwrap_or(false),
            event_type: "detached".to_owned(),
            action: activity(body).to_owned(),
            merged,
            forked: of["source_project_id"] != of["target_project_id"],
            ..MergeRequest::default()
        },
    })))
}

/// What GitHub would call what happened to a merge request of GitLab.
fn activity(body: &Value) -> &str {
    let of = &body["object_attributes"];
    match of["action"].as_str().unwrap_or_default() {
        "open" => return "opened",
        "reopen" => return "reopened",
        "close" | "merge" => return "closed",
        "update" => {}
        // Approvals and the like, which are events of their own at GitHub: no workflow can ask for them here.
        "" => return "unknown",
        other => return other,
    }
    if of["oldrev"].is_string() {
        return "synchronize";
    }
    let changes = &body["changes"];
    let grew = |what: &str| {
        let count = |side: &str| changes[what][side].as_array().map_or(0, Vec::len);
        count("current") >= count("previous")
    };
    let has = |what: &str| !changes[what].is_null();
    match () {
        () if has("draft") && changes["draft"]["current"] == true => "converted_to_draft",
        () if has("draft") => "ready_for_review",
        () if has("labels") && grew("labels") => "labeled",
        () if has("labels") => "unlabeled",
        () if has("reviewers") && grew("reviewers") => "review_requested",
        () if has("reviewers") => "review_request_removed",
        () if has("assignees") && grew("assignees") => "assigned",
        () if has("assignees") => "unassigned",
        () if has("milestone_id") && changes["milestone_id"]["current"].is_null() => "demilestoned",
        () if has("milestone_id") => "milestoned",
        () => "edited",
    }
}

/// GitHub's word for what Gitea calls otherwise.
fn githubs(action: &str) -> &str {
    match action {
        "synchronized" => "synchronize",
        "label_updated" => "labeled",
        "label_cleared" => "unlabeled",
        same => same,
    }
}

/// The pull request of GitHub and Gitea.
pub(super) fn pull(body: &Value) -> Result<Event, Error> {
    let of = &body["pull_request"];
    let action = githubs(body["action"].as_str().unwrap_or_default());
    let what = match action {
        "closed" => Change::Closed,
        "opened" | "reopened" | "synchronize" => Change::Commits,
        _ => Change::Words,
    };
    let merged = what == Change::Closed && of["merged"] == true;
    let mut payload = body.clone();
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("action".to_owned(), action.into());
    }
    let (source, target) = (&of["head"], &of["base"]);
    let sender = &body["sender"];
    let login = text(&sender["login"]);
    let milestone = of["milestone"]["title"].as_str().map(str::to_owned);
    let iid = of["number"].as_i64().or(body["number"].as_i64()).unwrap_or_default();
    Ok(Event::Merge(Box::new(Merge {
        head: head(&source["sha"], "pull_request.head.sha")?,
        what,
        merge_commit: of["merge_commit_sha"]
            .as_str()
            // Gitea's older name.
            .or(of["merged_commit_id"].as_str())
            .filter(|_| merged)
            .and_then(|id| id.parse().ok()),
        user: (!login.is_empty()).then(|| (login.clone(), login, text(&sender["email"]))),
        request: MergeRequest {
            id: of["id"].as_i64().unwrap_or(iid),
            iid,
            title: text(&of["title"]),
            description: text(&of["body"]),
            source_branch: text(&source["ref"]),
            source_project: text(&source["repo"]["full_name"]),
            source_project_url: text(&source["repo"]["html_url"]),
            target_branch: text(&target["ref"]),
            target_project: text(&target["repo"]["full_name"]),
            target_project_url: text(&target["repo"]["html_url"]),
            labels: texts(&of["labels"], "name"),
            assignees: texts(&of["assignees"], "login"),
            milestone,
            draft: of["draft"].as_bool().unwrap_or(false),
            event_type: "detached".to_owned(),
            action: action.to_owned(),
            merged,
            // The repository is null once a fork was deleted.
            forked: source["repo"]["full_name"] != target["repo"]["full_name"],
            ..MergeRequest::default()
        },
        payload: Some(payload),
    })))
}
