//! The contexts `github` and `vars`, as far as the start of the pipeline knows them.

use serde_json::{Value as Json, json};
use tasuki_model::expr::Value;

use super::super::fold;
use super::event;
use crate::Context;

/// Fields of `github` that only the runner knows.
pub(super) const LATE: &[&str] = &[
    "token",
    "workspace",
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "env",
    "path",
    "event_path",
    "run_id",
    "run_attempt",
];

/// `github`, for the workflow of that name and file.
pub(crate) fn github(context: &Context, workflow: &str, file: &str, inputs: &[(String, Json)]) -> Json {
    let trigger = &context.trigger;
    let project = &context.project;
    let server = context.server.url.trim_end_matches('/');
    let (git_ref, ref_name, ref_type) = event::refs(trigger);
    let owner = project.path.rsplit_once('/').map_or("", |(owner, _)| owner);
    let actor = trigger.user.as_ref().map_or("", |(login, ..)| login.as_str());
    let request = trigger.merge_request.as_ref();
    json!({
        "actor": actor,
        "triggering_actor": actor,
        "api_url": format!("{server}/api/v1"),
        "graphql_url": format!("{server}/api/graphql"),
        "server_url": server,
        "base_ref": request.map_or("", |request| &request.target_branch),
        "head_ref": request.map_or("", |request| &request.source_branch),
        "event": event::payload(context, inputs),
        "event_name": event::of(trigger).as_str(),
        "ref": git_ref,
        "ref_name": ref_name,
        "ref_type": ref_type,
        "ref_protected": context.pipeline.protected_ref,
        "repository": project.path,
        "repository_id": project.id.to_string(),
        "repository_owner": owner,
        "repository_owner_id": project.namespace_id.to_string(),
        "repositoryUrl": project.url,
        "run_number": context.pipeline.iid.to_string(),
        "secret_source": "Actions",
        "sha": trigger.commit.sha,
        "workflow": workflow,
        "workflow_ref": format!("{}/{file}@{git_ref}", project.path),
        "workflow_sha": trigger.commit.sha,
    })
}

/// `vars`: variables of the settings that are not masked and count everywhere; nearer levels win.
pub(super) fn vars(context: &Context) -> Value {
    let mut all: Vec<_> = context
        .variables
        .iter()
        .filter(|one| !one.variable.masked && one.environment_scope == "*")
        .collect();
    all.sort_by_key(|one| one.level);
    let mut entries: Vec<(String, Value)> = Vec::with_capacity(all.len());
    for one in all {
        entries.retain(|(key, _)| !key.eq_ignore_ascii_case(&one.variable.key));
        entries.push((one.variable.key.clone(), Value::text(one.variable.value.as_str())));
    }
    fold::object(entries)
}
