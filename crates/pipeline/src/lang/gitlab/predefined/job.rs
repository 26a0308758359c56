//! `CI_JOB_…`, `CI_NODE_…`, `CI_ENVIRONMENT_…`: known while the pipeline's jobs are made.

use tasuki_model::plan::{Environment, EnvironmentAction, Job, Variable, When};

use super::Set;
use crate::lang::gitlab::slug::{group_name, slug};

/// What the variables of a job are made of.
#[derive(Debug, Clone, Copy)]
pub struct JobFacts<'a> {
    pub name: &'a str,
    pub stage: &'a str,
    /// `when: manual` or `delayed`.
    pub manual: bool,
    /// Index (from 1) and number of its parallel siblings.
    pub parallel: Option<(u32, u32)>,
    pub environment: Option<EnvironmentFacts<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub struct EnvironmentFacts<'a> {
    /// Expanded.
    pub name: &'a str,
    pub action: EnvironmentAction,
    pub tier: Option<&'a str>,
    /// As written: the runner expands it.
    pub url: Option<&'a str>,
}

impl<'a> JobFacts<'a> {
    /// The facts of a compiled job.
    #[must_use]
    pub fn of(job: &'a Job) -> Self {
        Self {
            name: &job.name,
            stage: &job.stage,
            manual: matches!(job.when, When::Manual | When::Delayed) || job.gate.is_some(),
            parallel: job.parallel_index.zip(job.parallel_total),
            environment: job.environment.as_deref().map(EnvironmentFacts::of),
        }
    }
}

impl<'a> EnvironmentFacts<'a> {
    /// The facts of a compiled environment.
    #[must_use]
    pub fn of(environment: &'a Environment) -> Self {
        Self {
            name: &environment.name,
            action: environment.action,
            tier: environment.tier.as_deref(),
            url: environment.url.as_deref(),
        }
    }
}

/// Variables of a job that exist before it does.
#[must_use]
pub fn job(facts: &JobFacts<'_>) -> Vec<Variable> {
    let mut out = Set::default();
    out.add("CI_JOB_NAME", facts.name);
    out.add("CI_JOB_NAME_SLUG", slug(facts.name));
    out.add("CI_JOB_GROUP_NAME", group_name(facts.name));
    out.add("CI_JOB_STAGE", facts.stage);
    if facts.manual {
        out.add("CI_JOB_MANUAL", "true");
    }
    if let Some((index, _)) = facts.parallel {
        out.add("CI_NODE_INDEX", index.to_string());
    }
    out.add(
        "CI_NODE_TOTAL",
        facts.parallel.map_or(1, |(_, total)| total).to_string(),
    );
    if let Some(environment) = facts.environment {
        out.add("CI_ENVIRONMENT_NAME", environment.name);
        out.add("CI_ENVIRONMENT_ACTION", action(environment.action));
        out.add_some("CI_ENVIRONMENT_TIER", environment.tier);
        out.add_some("CI_ENVIRONMENT_URL", environment.url);
    }
    out.list
}

fn action(action: EnvironmentAction) -> &'static str {
    match action {
        EnvironmentAction::Start => "start",
        EnvironmentAction::Stop => "stop",
        EnvironmentAction::Prepare => "prepare",
        EnvironmentAction::Verify => "verify",
        EnvironmentAction::Access => "access",
    }
}
