//! All variables of a task, in order of precedence.

use std::collections::HashSet;

use tasuki_model::plan::{Language, Variable};
use tasuki_pipeline::lang::circleci::predefined as circleci;
use tasuki_pipeline::lang::github::variables as github;
use tasuki_pipeline::lang::gitlab::predefined::{self, JobFacts, TaskFacts};
use tasuki_pipeline::lang::gitlab::variables::{Circular, Layer, Scope, Sources, expand_values, settings};
use tasuki_proto::gitlab::JobVariable;

use super::Facts;

/// The variables of a task in the words of its language.
///
/// # Errors
/// They refer to one another in a circle.
pub(super) fn all(facts: &Facts<'_>, repository: &str) -> Result<Vec<JobVariable>, Circular> {
    match facts.language {
        Language::Circleci => Ok(of_circleci(facts)),
        Language::Gitlab => of_gitlab(facts, repository),
        Language::Github => of_github(facts, repository),
    }
}

/// GitLab's, which the runner itself reads, and GitHub's over them.
fn of_github(facts: &Facts<'_>, repository: &str) -> Result<Vec<JobVariable>, Circular> {
    let mut all = of_gitlab(facts, repository)?;
    let own = github::of_job(facts.context, facts.workflow, facts.job);
    all.extend(own.into_iter().map(|variable| wire(variable, &HashSet::new())));
    Ok(all)
}

/// What CircleCI sets, then settings, then the configuration, then what the pipeline was started with. Nothing is
/// expanded.
fn of_circleci(facts: &Facts<'_>) -> Vec<JobVariable> {
    let context = facts.context;
    let settings = settings(context, None);
    let private: HashSet<String> = settings.iter().map(|v| v.key.clone()).collect();
    let predefined = circleci::variables(
        context,
        facts.job,
        &circleci::TaskFacts {
            task_id: facts.task.0,
            job_id: facts.job_id.0,
            pipeline_id: facts.pipeline.0,
            part: facts.part,
            task_url: &format!("{}/tasks/{}", context.server.url.trim_end_matches('/'), facts.task),
            workflow: facts.workflow,
        },
    );
    let raw = |variable: Variable| Variable {
        raw: !variable.file,
        ..variable
    };
    let key = facts.job.continues.then(|| Variable {
        masked: true,
        ..Variable::plain("CIRCLE_CONTINUATION_KEY", facts.token.expose())
    });
    let others = settings
        .into_iter()
        .chain(key)
        .chain(facts.job.variables.iter().cloned())
        .chain(context.trigger.variables.iter().cloned())
        .chain(facts.played.iter().cloned())
        .map(raw);
    predefined
        .into_iter()
        .chain(others)
        .map(|v| wire(v, &private))
        .collect()
}

fn of_gitlab(facts: &Facts<'_>, repository: &str) -> Result<Vec<JobVariable>, Circular> {
    let sources = gitlab_sources(facts, repository);
    let private: HashSet<String> = sources.settings.iter().map(|v| v.key.clone()).collect();
    let variables = expand_values(sources.in_order())?;
    Ok(variables.into_iter().map(|v| wire(v, &private)).collect())
}

/// The url of the job's environment with its variables expanded. `left` is what the job itself left for others. The
/// values of masked variables are in no url.
///
/// # Errors
/// The variables refer to one another in a circle.
pub(super) fn url(facts: &Facts<'_>, left: &[Variable]) -> Result<Option<String>, Circular> {
    let Some(url) = facts.job.environment.as_ref().and_then(|named| named.url.as_ref()) else {
        return Ok(None);
    };
    match facts.language {
        // The expressions in it were evaluated when the pipeline was made.
        Language::Github | Language::Circleci => Ok(Some(url.clone())),
        Language::Gitlab => {
            let known = gitlab_sources(facts, "").in_order();
            let all = known.into_iter().chain(left.iter().cloned()).map(|variable| {
                if variable.masked {
                    return Variable {
                        value: "[MASKED]".to_owned(),
                        raw: true,
                        ..variable
                    };
                }
                variable
            });
            let layer = Layer::new(expand_values(all.collect())?);
            Ok(Some(Scope::new(vec![&layer]).expand(url)))
        }
    }
}

fn gitlab_sources(facts: &Facts<'_>, repository: &str) -> Sources {
    let context = facts.context;
    let url = context.server.url.trim_end_matches('/');
    let environment = facts.job.environment.as_ref();
    let settings = settings(context, environment.map(|e| e.name.as_str()));
    let mut pipeline = predefined::pipeline(context, facts.pipeline_name);
    if let Some(prefix) = &facts.job.pages_prefix {
        pipeline.push(predefined::pages_below(context, prefix));
    }
    Sources {
        persisted: predefined::persisted(&TaskFacts {
            task_id: facts.task.0,
            pipeline_id: facts.pipeline.0,
            task_url: &format!("{url}/tasks/{}", facts.task),
            pipeline_url: &format!("{url}/pipelines/{}", facts.pipeline),
            repository_url: repository,
            token: facts.token,
            started_at: facts.now,
        }),
        id_tokens: Vec::new(),
        job: predefined::job(&JobFacts::of(facts.job)),
        pipeline,
        runner: predefined::runner(&facts.runner),
        yaml: facts.job.variables.clone(),
        user: predefined::user(context),
        dotenv: facts.dotenv.to_vec(),
        settings,
        given: context.trigger.variables.clone(),
        played: facts.played.to_vec(),
        environment: environment
            .map(|named| predefined::environment(named, facts.environment))
            .unwrap_or_default(),
    }
}

/// What comes from settings or is masked is not shown to services and container environments.
fn wire(variable: Variable, private: &HashSet<String>) -> JobVariable {
    JobVariable {
        public: !variable.masked && !private.contains(&variable.key),
        key: variable.key,
        value: variable.value,
        file: variable.file,
        masked: variable.masked,
        raw: variable.raw,
    }
}
