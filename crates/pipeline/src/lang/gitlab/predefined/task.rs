//! What is known only when a task is claimed.

use tasuki_model::plan::{Environment, Variable};
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;

use super::{Set, time};
use crate::lang::gitlab::slug::{environment_slug, slug};

/// Facts of a claimed task and of its pipeline.
#[derive(Debug)]
pub struct TaskFacts<'a> {
    pub task_id: i64,
    pub pipeline_id: i64,
    /// Address of the task's and of the pipeline's page.
    pub task_url: &'a str,
    pub pipeline_url: &'a str,
    /// Address that the repository is fetched from, with user and token in it.
    pub repository_url: &'a str,
    pub token: &'a Secret,
    pub started_at: Timestamp,
}

/// Facts of the runner that claimed it.
#[derive(Debug)]
pub struct RunnerFacts<'a> {
    pub id: i64,
    pub description: &'a str,
    pub tags: &'a [String],
}

/// `CI_JOB_ID`, `CI_JOB_TOKEN`, `CI_PIPELINE_ID`, …: lowest precedence of all.
#[must_use]
pub fn persisted(facts: &TaskFacts<'_>) -> Vec<Variable> {
    let mut out = Set::default();
    out.add("CI_PIPELINE_ID", facts.pipeline_id.to_string());
    out.add("CI_PIPELINE_URL", facts.pipeline_url);
    out.add("CI_JOB_ID", facts.task_id.to_string());
    out.add("CI_JOB_URL", facts.task_url);
    out.masked("CI_JOB_TOKEN", facts.token.expose());
    if let Some(started) = time(facts.started_at) {
        out.add("CI_JOB_STARTED_AT_SLUG", slug(&started));
        out.add("CI_JOB_STARTED_AT", started);
    }
    out.masked("CI_REPOSITORY_URL", facts.repository_url);
    out.add("CI_REGISTRY_USER", "gitlab-ci-token");
    out.masked("CI_REGISTRY_PASSWORD", facts.token.expose());
    out.list
}

/// `CI_RUNNER_ID`, `CI_RUNNER_DESCRIPTION`, `CI_RUNNER_TAGS`.
#[must_use]
pub fn runner(facts: &RunnerFacts<'_>) -> Vec<Variable> {
    let mut out = Set::default();
    out.add("CI_RUNNER_ID", facts.id.to_string());
    out.add("CI_RUNNER_DESCRIPTION", facts.description);
    let quoted: Vec<String> = facts.tags.iter().map(|tag| format!("{tag:?}")).collect();
    out.add("CI_RUNNER_TAGS", format!("[{}]", quoted.join(", ")));
    out.list
}

/// What the server knows of an environment from earlier jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnvironment {
    pub id: i64,
    /// Where the last deployment is to be found.
    pub url: Option<String>,
}

/// `CI_ENVIRONMENT_SLUG`, `CI_ENVIRONMENT_ID` and the final `CI_ENVIRONMENT_URL`, which is that of the last deployment
/// where the job itself gives none: highest precedence of all.
#[must_use]
pub fn environment(environment: &Environment, known: Option<&KnownEnvironment>) -> Vec<Variable> {
    let mut out = Set::default();
    out.add("CI_ENVIRONMENT_SLUG", environment_slug(&environment.name));
    if let Some(known) = known {
        out.add("CI_ENVIRONMENT_ID", known.id.to_string());
    }
    match (&environment.url, known.and_then(|known| known.url.as_ref())) {
        (Some(own), _) => out.add("CI_ENVIRONMENT_URL", own),
        // It is final: a `$` in it is meant.
        (None, Some(known)) => out.list.push(Variable {
            raw: true,
            ..Variable::plain("CI_ENVIRONMENT_URL", known)
        }),
        (None, None) => {}
    }
    out.list
}
