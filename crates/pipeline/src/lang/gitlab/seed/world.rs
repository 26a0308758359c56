//! What a job sees while its rules and names are worked out.

use std::cell::OnceCell;
use std::rc::Rc;

use tasuki_model::plan::{Environment, Variable, When};

use super::environment::environment;
use super::layers::Layers;
use super::members::Member;
use crate::diag::Problem;
use crate::lang::gitlab::predefined::{self, EnvironmentFacts, JobFacts};
use crate::lang::gitlab::variables::{Layer, VariableSource};

/// The context of a job under one set of variables.
pub(super) struct World<'m> {
    pub(super) job: JobVariables<'m>,
    pub(super) settings: Rc<Layer>,
    /// Told only where the job is part of the pipeline.
    pub(super) problems: Vec<Problem>,
}

impl<'m> World<'m> {
    /// Predefined variables of the job, its environment, and the settings that go with that.
    pub(super) fn of(
        layers: &Layers<'_>,
        member: &'m Member<'_>,
        root: &Layer,
        own: &Layer,
        when: Option<When>,
    ) -> Self {
        let job = JobVariables {
            name: &member.name,
            stage: &member.entry.stage.text,
            manual: matches!(when, Some(When::Manual | When::Delayed)),
            parallel: member.parallel,
            environment: None,
            made: OnceCell::new(),
        };
        let settings = layers.settings(None);
        let mut problems = Vec::new();
        let environment = member.entry.environment.as_ref().and_then(|entry| {
            let scope = layers.scope(&job, root, own, &settings);
            environment(entry, &scope, &mut problems)
        });
        let settings = match &environment {
            Some(environment) => layers.settings(Some(&environment.name)),
            None => settings,
        };
        Self {
            job: JobVariables {
                environment,
                made: OnceCell::new(),
                ..job
            },
            settings,
            problems,
        }
    }
}

/// The predefined variables of a job, made when one is asked for: the rules of most jobs never do.
pub(super) struct JobVariables<'m> {
    name: &'m str,
    stage: &'m str,
    manual: bool,
    parallel: Option<(u32, u32)>,
    pub(super) environment: Option<Environment>,
    made: OnceCell<Layer>,
}

impl JobVariables<'_> {
    fn make(&self) -> Layer {
        Layer::new(predefined::job(&JobFacts {
            name: self.name,
            stage: self.stage,
            manual: self.manual,
            parallel: self.parallel,
            environment: self.environment.as_ref().map(EnvironmentFacts::of),
        }))
    }
}

impl VariableSource for JobVariables<'_> {
    fn find(&self, name: &str) -> Option<&Variable> {
        let of_jobs = ["CI_JOB_", "CI_NODE_", "CI_ENVIRONMENT_"];
        if !of_jobs.iter().any(|prefix| name.starts_with(prefix)) {
            return None;
        }
        self.made.get_or_init(|| self.make()).get(name)
    }
}
