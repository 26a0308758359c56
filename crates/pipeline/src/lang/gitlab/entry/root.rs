//! The top of the configuration.

use super::check::{Check, Located, value};
use super::defaults::defaults;
use super::job::{JobEntry, job};
use super::rules::{AutoCancelEntry, Rule, auto_cancel, workflow_rules};
use super::variables::{self, RootVariable};
use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::load::{Config, GLOBAL_KEYS, RawJob};
use crate::yaml::{Span, Text, Value};

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Definition {
    /// All stages in order, `.pre` and `.post` included.
    pub(crate) stages: Vec<Text>,
    pub(crate) variables: Vec<RootVariable>,
    /// Where they stand.
    pub(crate) variables_span: Span,
    /// Where the whole is reported.
    pub(crate) span: Span,
    pub(crate) workflow: Workflow,
    /// In the order written.
    pub(crate) jobs: Vec<JobEntry>,
}

#[derive(Debug, Default)]
pub(crate) struct Workflow {
    pub(crate) name: Option<Located>,
    /// `None`: no `workflow:rules`, so that jobs without rules have the default `only`.
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) auto_cancel: AutoCancelEntry,
}

const MAX_NAME: usize = 255;
/// Errors after which no further job is read: more are never shown.
const MAX_ERRORS: usize = 1_000;

/// Checks a merged configuration. Jobs with errors are left out of the result.
pub(crate) fn read(session: &Session<'_>, config: &Config) -> Definition {
    let mut check = Check::new(session, config);
    let defaults = defaults(&mut check, config);
    let variables = match config.get("variables") {
        Some(node) if value(node) != Value::Null => check
            .within("variables", |check| variables::root(check, node))
            .unwrap_or_default(),
        Some(_) | None => Vec::new(),
    };
    let workflow = workflow(&mut check, config);
    no_blank_templates(session, config);
    let mut jobs = Vec::with_capacity(config.root.len());
    let mut visible = 0;
    for raw in config.jobs() {
        visible += 1;
        let Some(name) = raw.name.text() else { continue };
        if session.errors() > MAX_ERRORS {
            break;
        }
        if !looks_like_job(&check, &raw, name) {
            continue;
        }
        let read = check.within_job(name, |check| {
            job(check, &raw, name, &defaults, workflow.rules.is_some())
        });
        jobs.extend(read);
    }
    if visible == 0 {
        let text = "jobs config should contain at least one visible job";
        let problem = Problem::new(&code::GITLAB_JOB, config.span, text);
        session.report(problem.hint("a job is `name: {script: [...]}`; names that start with a dot are hidden"));
    }
    Definition {
        stages: config.stages.clone(),
        variables,
        variables_span: config.root.entry("variables").map_or(config.span, |(key, _)| key.span),
        span: config.span,
        workflow,
        jobs,
    }
}

/// A hidden key may hold anything but nothing: most often its content was indented wrongly.
fn no_blank_templates(session: &Session<'_>, config: &Config) {
    for (key, node) in config.root.iter() {
        let Some(name) = key.text().filter(|name| name.starts_with('.')) else {
            continue;
        };
        let blank = match value(node) {
            Value::Null | Value::Bool(false) => true,
            Value::Text(text) | Value::Symbol(text) => text.trim().is_empty(),
            Value::Seq(items) => items.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Bool(true) | Value::Int(_) | Value::Float(_) | Value::Date(_) | Value::Reference(_) => false,
        };
        if blank {
            let text = format!("jobs:{name} config can't be blank");
            let problem = Problem::new(&code::GITLAB_VALUE, key.span, text);
            session.report(problem.hint("fill it or remove it; what belongs to it must be indented below it"));
        }
    }
}

/// A map; anything else at the top is a misspelt keyword or no job at all.
fn looks_like_job(check: &Check<'_>, raw: &RawJob<'_>, name: &str) -> bool {
    if matches!(value(raw.body), Value::Map(_)) {
        if name.chars().count() > MAX_NAME {
            let text = format!("jobs name is too long (maximum is {MAX_NAME} characters)");
            check.report(Problem::new(&code::GITLAB_VALUE, raw.name.span, text));
            return false;
        }
        if name.trim().is_empty() {
            check.report(Problem::new(
                &code::GITLAB_VALUE,
                raw.name.span,
                "jobs name can't be blank",
            ));
            return false;
        }
        return true;
    }
    let text = format!(
        "jobs:{name} config should be a hash, not {}",
        value(raw.body).describe()
    );
    let problem = Problem::new(&code::GITLAB_JOB, raw.name.span, text).suggest(name, GLOBAL_KEYS.iter().copied());
    let is_text = matches!(value(raw.body), Value::Text(text) if !text.trim().is_empty());
    check.report(if problem.hint.is_none() && is_text {
        problem.hint("a job is a map of keys like `script: …`: is a colon missing after one of the words below it?")
    } else if problem.hint.is_none() {
        problem.hint(format!(
            "every key at the top but these is a job: {}",
            GLOBAL_KEYS.join(", ")
        ))
    } else {
        problem
    });
    false
}

fn workflow(check: &mut Check<'_>, config: &Config) -> Workflow {
    let Some(node) = config.get("workflow").filter(|node| value(node) != Value::Null) else {
        return Workflow::default();
    };
    let read = check.within("workflow", |check| {
        let map = check.map(node, &["name", "rules", "auto_cancel"])?;
        Some(Workflow {
            name: check.key(map, "name", |check, node| {
                let name = check.located(node)?;
                if name.text.is_empty() {
                    check.bad_value(node.span, "is too short (minimum is 1 character)");
                }
                if name.text.chars().count() > MAX_NAME {
                    check.bad_value(node.span, &format!("is too long (maximum is {MAX_NAME} characters)"));
                }
                Some(name)
            }),
            rules: check.key(map, "rules", workflow_rules),
            auto_cancel: check.key(map, "auto_cancel", auto_cancel).unwrap_or_default(),
        })
    });
    read.unwrap_or_default()
}
