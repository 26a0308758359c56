//! `CIRCLE_…` variables of a claimed task.

use tasuki_model::plan::{Job, Variable};
use tasuki_model::trigger::Trigger;

use super::values::{branch_and_tag, pipeline_id, repository_url};
use crate::Context;

/// Facts of the task beside its job and pipeline.
#[derive(Debug)]
pub struct TaskFacts<'a> {
    pub task_id: i64,
    pub job_id: i64,
    pub pipeline_id: i64,
    /// Which of the job's parallel parts, from 0.
    pub part: i64,
    /// Address of the task's page.
    pub task_url: &'a str,
    /// Name of the job's workflow.
    pub workflow: &'a str,
}

/// All variables that a CircleCI job finds, lowest precedence first. Values are not expanded, but `BASH_ENV`, which
/// the runner resolves: it lies in the task's own folder.
#[must_use]
pub fn variables(context: &Context, job: &Job, facts: &TaskFacts<'_>) -> Vec<Variable> {
    let mut all = Set::default();
    all.add("CI", "true");
    all.add("CIRCLECI", "true");
    project(context, &mut all);
    commit(&context.trigger, &mut all);
    let id = |number: i64| {
        format!(
            "00000000-0000-4000-8000-{:012x}",
            number.unsigned_abs() & 0xffff_ffff_ffff
        )
    };
    all.add("CIRCLE_BUILD_NUM", facts.task_id.to_string());
    all.add("CIRCLE_BUILD_URL", facts.task_url);
    all.add("CIRCLE_JOB", job.name.as_str());
    all.add("CIRCLE_JOB_ID", id(facts.job_id));
    all.add("CIRCLE_NODE_INDEX", facts.part.to_string());
    all.add("CIRCLE_NODE_TOTAL", job.parallelism.to_string());
    all.add("CIRCLE_PIPELINE_ID", pipeline_id(context));
    all.add("CIRCLE_PIPELINE_NUMBER", context.pipeline.iid.max(1).to_string());
    all.add("CIRCLE_WORKFLOW_ID", id(facts.pipeline_id));
    all.add("CIRCLE_WORKFLOW_JOB_ID", id(facts.task_id));
    all.add("CIRCLE_WORKFLOW_WORKSPACE_ID", id(facts.pipeline_id));
    if !facts.workflow.is_empty() {
        all.add("CIRCLE_WORKFLOW_NAME", facts.workflow);
    }
    all.expanded("CIRCLE_WORKING_DIRECTORY", "$CI_PROJECT_DIR");
    all.expanded("BASH_ENV", "$RUNNER_TEMP_PROJECT_DIR/.bash_env");
    all.0
}

#[derive(Default)]
struct Set(Vec<Variable>);

impl Set {
    fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.push(Variable {
            raw: true,
            ..Variable::plain(key, value)
        });
    }

    /// Resolved by the runner.
    fn expanded(&mut self, key: &str, value: &str) {
        self.0.push(Variable::plain(key, value));
    }
}

fn project(context: &Context, all: &mut Set) {
    let (owner, name) = context
        .project
        .path
        .rsplit_once('/')
        .unwrap_or(("", &context.project.path));
    all.add("CIRCLE_PROJECT_ID", context.project.id.to_string());
    all.add("CIRCLE_PROJECT_REPONAME", name);
    all.add("CIRCLE_PROJECT_USERNAME", owner);
    all.add("CIRCLE_ORGANIZATION_ID", context.project.namespace_id.to_string());
    all.add("CIRCLE_REPOSITORY_URL", repository_url(context));
}

fn commit(trigger: &Trigger, all: &mut Set) {
    let (branch, tag) = branch_and_tag(trigger);
    if !branch.is_empty() {
        all.add("CIRCLE_BRANCH", branch);
    }
    if !tag.is_empty() {
        all.add("CIRCLE_TAG", tag);
    }
    all.add("CIRCLE_SHA1", trigger.commit.sha.as_str());
    let login = trigger.user.as_ref().map_or("", |(login, _, _)| login);
    all.add("CIRCLE_USERNAME", login);
    if let Some(request) = &trigger.merge_request {
        all.add("CIRCLE_PR_NUMBER", request.iid.to_string());
        all.add("CIRCLE_PR_USERNAME", login);
        let name = request.source_project.rsplit('/').next().unwrap_or_default();
        all.add("CIRCLE_PR_REPONAME", name);
        let url = format!(
            "{}/-/merge_requests/{}",
            request.target_project.trim_end_matches('/'),
            request.iid
        );
        all.add("CIRCLE_PULL_REQUEST", url);
    }
}
