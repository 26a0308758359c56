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
    /// The source branch is another project's.
    pub forked: bool,
    pub what: Change,
    /// Login, name, e-mail.
    pub user: Option<(String, String, String)>,
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
    Ok(Event::Merge(Box::new(Merge {
        head: head(&of["last_commit"]["id"], "object_attributes.last_commit.id")?,
        forked: of["source_project_id"] != of["target_project_id"],
        what,
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
            ..MergeRequest::default()
        },
    })))
}

/// The pull request of GitHub and Gitea. `with_commits` are the actions that bring commits to build.
pub(super) fn pull(body: &Value, with_commits: &[&str]) -> Result<Event, Error> {
    let of = &body["pull_request"];
    let what = match body["action"].as_str().unwrap_or_default() {
        "closed" => Change::Closed,
        action if with_commits.contains(&action) => Change::Commits,
        _ => Change::Words,
    };
    let (source, target) = (&of["head"], &of["base"]);
    let sender = &body["sender"];
    let login = text(&sender["login"]);
    let milestone = of["milestone"]["title"].as_str().map(str::to_owned);
    let iid = of["number"].as_i64().or(body["number"].as_i64()).unwrap_or_default();
    Ok(Event::Merge(Box::new(Merge {
        head: head(&source["sha"], "pull_request.head.sha")?,
        // The repository is null once a fork was deleted.
        forked: source["repo"]["full_name"] != target["repo"]["full_name"],
        what,
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
            ..MergeRequest::default()
        },
    })))
}
