//! One job: what it is, when it runs, what it does.

use std::sync::{Arc, LazyLock};

use tasuki_model::plan::{AllowFailure, Downstream, Variable, When};

use super::build::{self, Build, build};
use super::check::{Check, Located, value};
pub(crate) use super::defaults::Inherit;
use super::defaults::{Defaults, Inheritance, inherit};
use super::environment::{EnvironmentEntry, environment};
use super::needs::{NeedEntry, NeedForm, needs};
use super::only::{Policy, policy};
use super::parallel::{Parallel, parallel};
use super::rules::{MAX_DELAY, Rule, job_rules};
use super::{retry, trigger, variables};
use crate::diag::code;
use crate::lang::gitlab::load::RawJob;
use crate::yaml::{Map, Node, Span, Text, Value};

/// A job as written, defaults filled in.
#[derive(Debug)]
pub(crate) struct JobEntry {
    pub(crate) name: Text,
    pub(crate) span: Span,
    pub(crate) stage: Located,
    pub(crate) when: Option<When>,
    pub(crate) start_in: Option<u64>,
    pub(crate) manual_confirmation: Option<String>,
    pub(crate) allow_failure: Option<AllowFailure>,
    pub(crate) selection: Selection,
    pub(crate) variables: Vec<Variable>,
    pub(crate) inherit_variables: Inherit,
    pub(crate) needs: Option<Vec<NeedEntry>>,
    pub(crate) dependencies: Option<Vec<Located>>,
    pub(crate) parallel: Option<Parallel>,
    pub(crate) interruptible: Option<bool>,
    pub(crate) resource_group: Option<Located>,
    pub(crate) environment: Option<EnvironmentEntry>,
    pub(crate) work: Work,
}

/// Which pipelines the job is part of.
#[derive(Debug)]
pub(crate) enum Selection {
    /// The first rule that holds decides. Empty (`rules: null`): all pipelines.
    Rules(Arc<[Rule]>),
    Policies {
        only: Option<Policy>,
        except: Option<Policy>,
    },
}

/// What the job does.
#[derive(Debug)]
pub(crate) enum Work {
    Build(Box<Build>),
    /// Starts another pipeline; `None`: only takes on the status of one (`needs:pipeline`).
    Bridge(Option<Downstream>),
}

const COMMON_KEYS: &[&str] = &[
    "extends",
    "stage",
    "only",
    "except",
    "rules",
    "variables",
    "inherit",
    "allow_failure",
    "when",
    "needs",
    "resource_group",
    "environment",
    "interruptible",
    "parallel",
];
/// `trigger` beside a script is reported as what it is.
static ALL_BUILD_KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| [COMMON_KEYS, build::KEYS, &["trigger"]].concat());
static ALL_BRIDGE_KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| [COMMON_KEYS, &["trigger"]].concat());
const WHEN: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("manual", When::Manual),
    ("delayed", When::Delayed),
];
const BRIDGE_WHEN: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("manual", When::Manual),
];
/// Reads a job. `workflow_rules`: there are some, so that the default `only` does not apply.
pub(super) fn job(
    check: &mut Check<'_>,
    raw: &RawJob<'_>,
    name: &Text,
    defaults: &Defaults,
    workflow_rules: bool,
) -> Option<JobEntry> {
    let Value::Map(map) = value(raw.body) else { return None };
    let builds = map.get("script").is_some() || map.get("run").is_some();
    let bridges = map.get("trigger").is_some() || (!builds && map.get("needs").is_some());
    if !builds && !bridges {
        let text = "config should implement the script:, run:, or trigger: keyword";
        let known = ["script", "run", "trigger"];
        let near = map
            .iter()
            .filter_map(|(key, _)| key.text())
            .find_map(|key| crate::diag::did_you_mean(key, known).map(|near| (key, near)));
        let problem = check.problem(&code::GITLAB_JOB, raw.name.span, text);
        check.report(match near {
            Some((key, near)) => problem.hint(format!("did you mean `{near}` instead of `{key}`?")),
            None => problem.hint(format!("rename it to `.{name}` if it only serves `extends` or anchors")),
        });
        return None;
    }
    check.exclusive(map, &["script", "trigger"]);
    check.exclusive(map, &["run", "trigger"]);
    for key in ["script", "before_script", "after_script"] {
        check.exclusive(map, &["run", key]);
    }
    let (inherit_default, inherit_variables) = inherit(check, map);
    let defaults = Inheritance {
        defaults,
        takes: inherit_default,
    };
    let needs = check.key(map, "needs", needs);
    for need in needs.iter().flatten() {
        let wrong = match (&need.form, builds) {
            (NeedForm::Mirror { .. }, true) => "bridge",
            (NeedForm::Pipeline { .. } | NeedForm::Project { .. }, false) => "cross_dependency",
            _ => continue,
        };
        let text = format!("needs config uses invalid types: {wrong}");
        let problem = check.problem(&code::GITLAB_NEED, need.span, &text);
        check.report(problem.hint(if builds {
            "a job with a script needs a `job` of that pipeline; only a job without one takes on its status"
        } else {
            "a job that starts or follows a pipeline takes no artifacts: need them in a job with a script"
        }));
    }
    let work = if builds {
        check.known_keys(map, &ALL_BUILD_KEYS);
        Work::Build(Box::new(build(check, map, name, &defaults)))
    } else {
        check.known_keys(map, &ALL_BRIDGE_KEYS);
        bridge(check, raw, map, needs.as_deref())?
    };
    let entry = common(
        check,
        map,
        raw,
        name,
        work,
        needs,
        inherit_variables,
        &defaults,
        workflow_rules,
    );
    consistent(check, map, &entry);
    Some(entry)
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one struct, read in an order that matters"
)]
fn common(
    check: &mut Check<'_>,
    map: &Map,
    raw: &RawJob<'_>,
    name: &Text,
    work: Work,
    needs: Option<Vec<NeedEntry>>,
    inherit_variables: Inherit,
    defaults: &Inheritance<'_>,
    workflow_rules: bool,
) -> JobEntry {
    let builds = matches!(work, Work::Build(_));
    let whens = if builds { WHEN } else { BRIDGE_WHEN };
    JobEntry {
        name: name.clone(),
        span: raw.name.span,
        stage: check.key(map, "stage", Check::located).unwrap_or_else(|| Located {
            text: "test".to_owned(),
            span: raw.name.span,
        }),
        when: check.key(map, "when", |check, node| check.one_of(node, whens)),
        start_in: check.key(map, "start_in", |check, node| check.duration(node, Some(MAX_DELAY))),
        manual_confirmation: check.key(map, "manual_confirmation", Check::text),
        allow_failure: check.key(map, "allow_failure", |check, node| {
            if builds {
                retry::allow_failure(check, node)
            } else {
                check.boolean(node).map(AllowFailure::Flag)
            }
        }),
        selection: selection(check, map, workflow_rules),
        variables: check.key(map, "variables", variables::job).unwrap_or_default(),
        inherit_variables,
        needs,
        dependencies: check.key(map, "dependencies", Check::strings),
        parallel: check.key(map, "parallel", parallel),
        interruptible: check
            .key(map, "interruptible", Check::boolean)
            .or_else(|| defaults.of("interruptible", |d| &d.interruptible)),
        resource_group: check.key(map, "resource_group", |check, node| {
            check.filled_text(node).map(|text| Located { text, span: node.span })
        }),
        environment: check.key(map, "environment", environment),
        work,
    }
}

fn selection(check: &mut Check<'_>, map: &Map, workflow_rules: bool) -> Selection {
    let Some(node) = map.get("rules") else {
        let only = check.key(map, "only", policy);
        let except = check.key(map, "except", policy);
        let only = match only {
            // The map form without refs keeps the default ones.
            Some(mut only) if only.refs.is_none() => {
                only.refs = Policy::branches_and_tags().refs;
                Some(only)
            }
            Some(only) => Some(only),
            None if workflow_rules => None,
            None => Some(Policy::branches_and_tags()),
        };
        return Selection::Policies { only, except };
    };
    for key in ["only", "except", "start_in"] {
        if let Some((key_node, _)) = map.entry(key).filter(|(_, node)| value(node) != Value::Null) {
            let text = format!("config key may not be used with `rules`: {key}");
            let problem = check.problem(&code::GITLAB_EXCLUSIVE_KEYS, key_node.span, &text);
            check.report(match key {
                "start_in" => problem.hint("write `start_in` into the rule that has `when: delayed`"),
                _ => problem.hint("turn it into a rule"),
            });
        }
    }
    if value(node) == Value::Null {
        return Selection::Rules(Arc::default());
    }
    let rules = check
        .within("rules", |check| job_rules(check, node))
        .unwrap_or_default();
    if let Some(last) = rules.last()
        && last.is_unconditional()
        && !workflow_rules
        && is_only_when(node)
    {
        let text = "may allow multiple pipelines to run for a single action";
        let problem = check.problem(&code::GITLAB_DUPLICATE_PIPELINES, last.span, text);
        check.report(problem.hint("add `workflow:rules`, or a condition to the last rule"));
    }
    Selection::Rules(rules)
}

/// Whether the last rule is nothing but `when: <not never>`.
fn is_only_when(rules: &Node) -> bool {
    let Value::Seq(items) = value(rules) else { return false };
    let Some(Value::Map(last)) = items.last().map(value) else {
        return false;
    };
    let when = last.get("when").and_then(Node::text);
    last.len() == 1 && when.is_some_and(|when| &**when != "never")
}

/// What only shows when several keywords are seen together.
fn consistent(check: &Check<'_>, map: &Map, entry: &JobEntry) {
    let delayed = entry.when == Some(When::Delayed);
    match map.entry("start_in") {
        Some((key, _)) if !delayed && map.get("rules").is_none() => {
            let problem = check.problem(&code::GITLAB_VALUE, key.span, "start in must be blank");
            check.report(problem.hint("`start_in` only goes with `when: delayed`"));
        }
        None if delayed && map.get("rules").is_none() => {
            let problem = check.problem(&code::GITLAB_MISSING_KEY, entry.span, "start in should be a duration");
            check.report(problem.hint("`when: delayed` needs `start_in`, for example `start_in: 30 minutes`"));
        }
        Some(_) | None => {}
    }
    let (Some(needs), Some(dependencies)) = (&entry.needs, &entry.dependencies) else {
        return;
    };
    // Beside `needs: []` nothing is compared, and nothing is fetched.
    if needs.is_empty() {
        return;
    }
    let needed: Vec<&str> = needs
        .iter()
        .filter_map(|need| match &need.form {
            NeedForm::Job { name, .. } => Some(name.as_str()),
            NeedForm::Pipeline { .. } | NeedForm::Project { .. } | NeedForm::Mirror { .. } => None,
        })
        .collect();
    for dependency in dependencies {
        let base = crate::lang::gitlab::slug::group_name(&dependency.text);
        if !needed.contains(&dependency.text.as_str()) && !needed.contains(&base) {
            let text = format!("dependencies the {} should be part of needs", dependency.text);
            check.report(check.problem(&code::GITLAB_NEED, dependency.span, &text));
        }
    }
}

/// Where `needs` names pipelines of other projects.
fn mirrored(needs: Option<&[NeedEntry]>) -> Vec<Span> {
    let needs = needs.into_iter().flatten();
    needs
        .filter(|need| matches!(need.form, NeedForm::Mirror { .. }))
        .map(|need| need.span)
        .collect()
}

fn bridge(check: &mut Check<'_>, raw: &RawJob<'_>, map: &Map, needs: Option<&[NeedEntry]>) -> Option<Work> {
    let mirrors = mirrored(needs);
    if let Some(second) = mirrors.get(1) {
        let text = "config should contain at most one bridge need";
        check.report(check.problem(&code::GITLAB_NEED, *second, text));
    }
    if map.get("trigger").is_some() {
        let downstream = check.key(map, "trigger", trigger::trigger)?;
        if let Some((key, Value::Int(_))) = map.entry("parallel").map(|(key, node)| (key, value(node))) {
            check.bad_value(key.span, "parallel of a trigger job takes only a matrix");
        }
        return Some(Work::Bridge(Some(downstream)));
    }
    if mirrors.is_empty() {
        let text = "config should contain either a trigger or a needs:pipeline";
        let problem = check.problem(&code::GITLAB_JOB, raw.name.span, text);
        check.report(problem.hint("a job that runs something needs `script`"));
        return None;
    }
    Some(Work::Bridge(None))
}
