//! The variables that every job of a workflow has: `CI`, `GITHUB_*`.

use serde_json::Value as Json;
use tasuki_model::plan::{self, Variable};

use super::plan::github;
use crate::Context;

/// Fields of `github` that are variables, too.
const FIELDS: &[&str] = &[
    "actor",
    "triggering_actor",
    "api_url",
    "graphql_url",
    "server_url",
    "base_ref",
    "head_ref",
    "event_name",
    "ref",
    "ref_name",
    "ref_type",
    "ref_protected",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "run_number",
    "sha",
    "workflow",
    "workflow_ref",
    "workflow_sha",
];

/// The variables of a job, as far as the server knows them; the runner adds the paths.
#[must_use]
pub fn of_job(context: &Context, workflow: &str, job: &plan::Job) -> Vec<Variable> {
    let facts = github(context, workflow, "", &[]);
    let raw = |key: String, value: String| Variable {
        raw: true,
        ..Variable::plain(key, value)
    };
    let mut all = vec![
        raw("CI".to_owned(), "true".to_owned()),
        raw("GITHUB_ACTIONS".to_owned(), "true".to_owned()),
        raw("GITHUB_JOB".to_owned(), job.base_name.clone()),
    ];
    for field in FIELDS {
        let value = match &facts[*field] {
            Json::String(text) => text.clone(),
            Json::Null => String::new(),
            other => other.to_string(),
        };
        all.push(raw(format!("GITHUB_{}", field.to_ascii_uppercase()), value));
    }
    all
}

/// `github.event` of a pipeline: the content of the file `GITHUB_EVENT_PATH`.
#[must_use]
pub fn event(context: &Context) -> Json {
    let inputs: Vec<(String, Json)> = context.trigger.inputs.clone();
    github(context, "", "", &inputs)["event"].clone()
}
