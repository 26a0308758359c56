//! The order of precedence, in one place.

use tasuki_model::plan::Variable;

/// Every source of a task's variables. [`Sources::in_order`] puts them in GitLab's order of precedence.
///
/// Fields are in that order, lowest first: YAML may shadow most predefined variables, settings beat YAML,
/// what a person gives when starting the pipeline beats settings.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Known once the task exists: [`predefined::persisted`](crate::lang::gitlab::predefined::persisted).
    pub persisted: Vec<Variable>,
    pub id_tokens: Vec<Variable>,
    /// [`predefined::job`](crate::lang::gitlab::predefined::job).
    pub job: Vec<Variable>,
    /// [`predefined::pipeline`](crate::lang::gitlab::predefined::pipeline): project, server, commit, merge request.
    pub pipeline: Vec<Variable>,
    /// [`predefined::runner`](crate::lang::gitlab::predefined::runner).
    pub runner: Vec<Variable>,
    /// Of the Plan's job: root, workflow rule, job, matrix, rule.
    pub yaml: Vec<Variable>,
    /// [`predefined::user`](crate::lang::gitlab::predefined::user).
    pub user: Vec<Variable>,
    /// Of dotenv reports of the jobs that this one depends on.
    pub dotenv: Vec<Variable>,
    /// [`settings`](super::settings): instance, groups, project.
    pub settings: Vec<Variable>,
    /// Given when the pipeline was started: form, API, trigger, upstream pipeline, schedule.
    pub given: Vec<Variable>,
    /// Given when a manual job was played.
    pub played: Vec<Variable>,
    /// [`predefined::environment`](crate::lang::gitlab::predefined::environment): slug and final URL.
    pub environment: Vec<Variable>,
}

impl Sources {
    /// All variables, lowest precedence first; of a name the last wins.
    #[must_use]
    pub fn in_order(self) -> Vec<Variable> {
        let Self {
            persisted,
            id_tokens,
            job,
            pipeline,
            runner,
            yaml,
            user,
            dotenv,
            settings,
            given,
            played,
            environment,
        } = self;
        [
            persisted,
            id_tokens,
            job,
            pipeline,
            runner,
            yaml,
            user,
            dotenv,
            settings,
            given,
            played,
            environment,
        ]
        .concat()
    }
}
