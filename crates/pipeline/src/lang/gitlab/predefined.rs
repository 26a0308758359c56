//! Predefined variables (`CI_…`, `GITLAB_USER_…`), by the phase in which they become known.
//!
//! | Function | Known | Used by |
//! |---|---|---|
//! | [`pipeline`], [`user`] | before the pipeline exists | includes, workflow rules, job rules, payload |
//! | [`job`] | while its jobs are made | job rules, payload |
//! | [`persisted`], [`runner`], [`environment`] | when a task is claimed | payload only |

mod commit;
mod job;
mod merge_request;
mod project;
mod task;

use tasuki_model::plan::Variable;

pub use job::{EnvironmentFacts, JobFacts, job};
pub use task::{KnownEnvironment, RunnerFacts, TaskFacts, environment, persisted, runner};

use crate::Context;

/// Variables of server, project, pipeline, commit and merge request. `name` is the pipeline's, once known.
#[must_use]
pub fn pipeline(context: &Context, name: Option<&str>) -> Vec<Variable> {
    let mut out = Set::default();
    project::server(context, &mut out);
    project::project(context, &mut out);
    commit::pipeline(context, name, &mut out);
    commit::commit(context, &mut out);
    if let Some(request) = &context.trigger.merge_request {
        merge_request::variables(request, &mut out);
    }
    out.list
}

/// `CI_PAGES_URL` of a job whose pages will stand below a prefix. It takes the place of the project's, which
/// [`pipeline`] gives.
#[must_use]
pub fn pages_below(context: &Context, prefix: &str) -> Variable {
    let url = format!("{}/{prefix}", project::pages_url(context));
    Variable::plain("CI_PAGES_URL", &url)
}

/// `GITLAB_USER_…`: who started the pipeline. YAML cannot override them.
#[must_use]
pub fn user(context: &Context) -> Vec<Variable> {
    let mut out = Set::default();
    if let Some((login, name, email)) = &context.trigger.user {
        out.add("GITLAB_USER_LOGIN", login);
        out.add("GITLAB_USER_NAME", name);
        out.add("GITLAB_USER_EMAIL", email);
    }
    out.list
}

/// A list in the making.
#[derive(Default)]
struct Set {
    list: Vec<Variable>,
}

impl Set {
    fn add(&mut self, key: &str, value: impl Into<String>) {
        self.list.push(Variable::plain(key, value));
    }

    fn add_some(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    /// Only where there is something to say.
    fn add_text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.add(key, value);
        }
    }

    /// What somebody wrote as prose: a `$` in a commit message is a dollar sign, so nothing expands it.
    fn add_prose(&mut self, key: &str, value: impl Into<String>) {
        let mut variable = Variable::plain(key, value);
        variable.raw = true;
        self.list.push(variable);
    }

    fn masked(&mut self, key: &str, value: impl Into<String>) {
        let mut variable = Variable::plain(key, value);
        variable.masked = true;
        self.list.push(variable);
    }
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// RFC 3339 in UTC, as `CI_PIPELINE_CREATED_AT` has it.
fn time(at: tasuki_model::time::Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
    Some(format!("{at:.0}"))
}
