//! `rules` of jobs and of the workflow.

use std::sync::Arc;

use tasuki_model::plan::{OnJobFailure, OnNewCommit, Variable, When};

use super::check::{Check, Located, every, value};
use super::needs::{NeedEntry, NeedForm, needs};
use super::variables;
use crate::diag::code;
use crate::lang::gitlab::expr::{self, Expr};
use crate::yaml::{Map, Node, Span, Value};

/// One rule. All its clauses must hold.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) span: Span,
    pub(crate) condition: Option<Arc<Expr>>,
    pub(crate) changes: Option<Changes>,
    pub(crate) exists: Option<Exists>,
    pub(crate) when: Option<RuleWhen>,
    pub(crate) start_in: Option<u64>,
    pub(crate) allow_failure: Option<bool>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) needs: Option<Vec<NeedEntry>>,
    pub(crate) interruptible: Option<bool>,
    pub(crate) auto_cancel: AutoCancelEntry,
}

impl Rule {
    /// No clause: it always holds.
    pub(crate) fn is_unconditional(&self) -> bool {
        self.condition.is_none() && self.changes.is_none() && self.exists.is_none()
    }
}

/// `when` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleWhen {
    Never,
    When(When),
}

#[derive(Debug, Clone)]
pub(crate) struct Changes {
    pub(crate) paths: Vec<Located>,
    pub(crate) compare_to: Option<Located>,
}

#[derive(Debug, Clone)]
pub(crate) struct Exists {
    pub(crate) span: Span,
    pub(crate) paths: Vec<Located>,
    /// Project and ref of another repository.
    pub(crate) project: Option<(String, String)>,
}

/// `auto_cancel` as written: what is absent is inherited.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AutoCancelEntry {
    pub(crate) on_new_commit: Option<OnNewCommit>,
    pub(crate) on_job_failure: Option<OnJobFailure>,
}

const JOB_KEYS: &[&str] = &[
    "if",
    "changes",
    "exists",
    "when",
    "start_in",
    "allow_failure",
    "variables",
    "needs",
    "interruptible",
];
const WORKFLOW_KEYS: &[&str] = &[
    "if",
    "changes",
    "exists",
    "when",
    "variables",
    "auto_cancel",
    "start_in",
    "allow_failure",
    "needs",
];
const JOB_WHEN: &[(&str, RuleWhen)] = &[
    ("on_success", RuleWhen::When(When::OnSuccess)),
    ("on_failure", RuleWhen::When(When::OnFailure)),
    ("always", RuleWhen::When(When::Always)),
    ("manual", RuleWhen::When(When::Manual)),
    ("delayed", RuleWhen::When(When::Delayed)),
    ("never", RuleWhen::Never),
];
const WORKFLOW_WHEN: &[(&str, RuleWhen)] = &[("always", RuleWhen::When(When::Always)), ("never", RuleWhen::Never)];
const MAX_PATHS: usize = 50;
/// One week.
pub(crate) const MAX_DELAY: (u64, &str) = (604_800, "7 days");

pub(super) fn job_rules(check: &mut Check<'_>, node: &Node) -> Option<Arc<[Rule]>> {
    // The configuration outlives the check, so that equal places are equal lists.
    let place = match value(node) {
        Value::Seq(items) => items.as_ptr(),
        _ => std::ptr::null(),
    };
    if let Some(known) = check.rules.get(&place) {
        return Some(known.clone());
    }
    let errors = check.session.errors();
    let rules: Arc<[Rule]> = read_job_rules(check, node)?.into();
    if check.session.errors() == errors {
        check.rules.insert(place, rules.clone());
    }
    Some(rules)
}

fn read_job_rules(check: &mut Check<'_>, node: &Node) -> Option<Vec<Rule>> {
    list(check, node, |check, node| {
        let map = check.filled_map(node, JOB_KEYS)?;
        let mut rule = clauses(check, node, map);
        rule.when = check.key(map, "when", |check, node| check.one_of(node, JOB_WHEN));
        rule.start_in = check.key(map, "start_in", |check, node| check.duration(node, Some(MAX_DELAY)));
        rule.allow_failure = check.key(map, "allow_failure", Check::boolean);
        rule.needs = check.key(map, "needs", job_needs);
        rule.interruptible = check.key(map, "interruptible", Check::boolean);
        delay(check, map, &rule);
        Some(rule)
    })
}

/// Rules name needs in the same pipeline only.
fn job_needs(check: &mut Check<'_>, node: &Node) -> Option<Vec<NeedEntry>> {
    let needs = needs(check, node)?;
    for need in &needs {
        if !matches!(need.form, NeedForm::Job { .. }) {
            check.bad_value(
                need.span,
                "uses invalid types: only jobs of the same pipeline can be needed by a rule",
            );
        }
    }
    Some(needs)
}

pub(super) fn workflow_rules(check: &mut Check<'_>, node: &Node) -> Option<Vec<Rule>> {
    list(check, node, |check, node| {
        let map = check.filled_map(node, WORKFLOW_KEYS)?;
        let mut rule = clauses(check, node, map);
        rule.when = check.key(map, "when", |check, node| check.one_of(node, WORKFLOW_WHEN));
        rule.auto_cancel = check.key(map, "auto_cancel", auto_cancel).unwrap_or_default();
        for key in ["start_in", "allow_failure", "needs"] {
            if let Some((key, _)) = map.entry(key) {
                let name = key.text().map_or("", |text| text);
                let text = format!("config key has no effect here: {name}");
                check.report(check.problem(&code::GITLAB_NO_EFFECT, key.span, &text));
            }
        }
        Some(rule)
    })
}

fn list(check: &mut Check<'_>, node: &Node, read: impl Fn(&mut Check<'_>, &Node) -> Option<Rule>) -> Option<Vec<Rule>> {
    let items = check.flat(node)?;
    if items.is_empty() {
        let problem = check.problem(&code::GITLAB_VALUE, node.span, "config can't be blank");
        check.report(problem.hint("remove the key, or write `rules: null` where an inherited one is to go"));
        return None;
    }
    let rules = items
        .into_iter()
        .map(|item| check.within("rule", |check| read(check, item)));
    every(rules)
}

fn clauses(check: &mut Check<'_>, node: &Node, map: &Map) -> Rule {
    Rule {
        span: node.span,
        condition: check.key(map, "if", |check, node| condition(check, node)),
        changes: check.key(map, "changes", changes),
        exists: check.key(map, "exists", exists),
        when: None,
        start_in: None,
        allow_failure: None,
        variables: check.key(map, "variables", variables::plain).unwrap_or_default(),
        needs: None,
        interruptible: None,
        auto_cancel: AutoCancelEntry::default(),
    }
}

/// `delayed` needs `start_in`, and only `delayed` does.
fn delay(check: &Check<'_>, map: &Map, rule: &Rule) {
    let delayed = rule.when == Some(RuleWhen::When(When::Delayed));
    match map.entry("start_in") {
        None if delayed => {
            let problem = check.problem(&code::GITLAB_MISSING_KEY, rule.span, "start in should be a duration");
            check.report(problem.hint("`when: delayed` needs `start_in`, for example `start_in: 30 minutes`"));
        }
        Some((key, _)) if !delayed => {
            let problem = check.problem(&code::GITLAB_VALUE, key.span, "start in must be blank");
            check.report(problem.hint("`start_in` only goes with `when: delayed` in the same rule"));
        }
        None | Some(_) => {}
    }
}

/// An expression; each text is parsed once.
pub(super) fn condition(check: &mut Check<'_>, node: &Node) -> Option<Arc<Expr>> {
    let text = check.text(node)?;
    if let Some(known) = check.expressions.get(&text) {
        return Some(known.clone());
    }
    match expr::parse(&text) {
        Ok(parsed) => {
            let parsed = Arc::new(parsed);
            check.expressions.insert(text, parsed.clone());
            Some(parsed)
        }
        Err(err) => {
            let mut problem = check.problem(
                &code::GITLAB_EXPRESSION,
                node.span,
                &format!("invalid expression syntax: {err}"),
            );
            problem.hint = err.hint();
            check.report(problem);
            None
        }
    }
}

fn paths(check: &mut Check<'_>, node: &Node) -> Option<Vec<Located>> {
    let paths = check.strings(node)?;
    if let Some(over) = paths.get(MAX_PATHS) {
        check.bad_value(over.span, &format!("has too many entries (maximum {MAX_PATHS})"));
    }
    for path in &paths {
        let why = if path.text.starts_with("./") {
            "starts with `./`"
        } else if path.text.starts_with('/') {
            "starts with `/`"
        } else {
            continue;
        };
        let text = format!(
            "config `{}` {why} and matches no file: paths start at the top of the repository",
            path.text
        );
        check.report(check.problem(&code::GITLAB_NO_EFFECT, path.span, &text));
    }
    Some(paths)
}

pub(super) fn changes(check: &mut Check<'_>, node: &Node) -> Option<Changes> {
    match value(node) {
        Value::Seq(_) => Some(Changes {
            paths: paths(check, node)?,
            compare_to: None,
        }),
        Value::Map(_) => {
            let map = check.map(node, &["paths", "compare_to"])?;
            let inner = check.required(map, node.span, "paths")?;
            Some(Changes {
                paths: check.within("paths", |check| paths(check, inner))?,
                compare_to: check.key(map, "compare_to", Check::located),
            })
        }
        _ => {
            check.wrong_type(node, "an array or a hash");
            None
        }
    }
}

fn exists(check: &mut Check<'_>, node: &Node) -> Option<Exists> {
    let plain = |paths| Exists {
        span: node.span,
        paths,
        project: None,
    };
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => Some(plain(vec![check.located(node)?])),
        Value::Seq(_) => Some(plain(paths(check, node)?)),
        Value::Map(_) => {
            let map = check.map(node, &["paths", "project", "ref"])?;
            let inner = check.required(map, node.span, "paths")?;
            let paths = check.within("paths", |check| paths(check, inner))?;
            let project = check.key(map, "project", Check::filled_text);
            let git_ref = check.key(map, "ref", Check::filled_text);
            if project.is_none()
                && let Some((key, _)) = map.entry("ref")
            {
                let problem = check.problem(&code::GITLAB_MISSING_KEY, key.span, "config misses the key: project");
                check.report(problem.hint("`ref` only goes with `project`"));
            }
            Some(Exists {
                span: node.span,
                paths,
                project: project.map(|project| (project, git_ref.unwrap_or_else(|| "HEAD".to_owned()))),
            })
        }
        _ => {
            check.wrong_type(node, "an array or a hash");
            None
        }
    }
}

pub(super) fn auto_cancel(check: &mut Check<'_>, node: &Node) -> Option<AutoCancelEntry> {
    const COMMIT: &[(&str, OnNewCommit)] = &[
        ("conservative", OnNewCommit::Conservative),
        ("interruptible", OnNewCommit::Interruptible),
        ("none", OnNewCommit::None),
    ];
    const FAILURE: &[(&str, OnJobFailure)] = &[("none", OnJobFailure::None), ("all", OnJobFailure::All)];
    let map = check.map(node, &["on_new_commit", "on_job_failure"])?;
    Some(AutoCancelEntry {
        on_new_commit: check.key(map, "on_new_commit", |check, node| check.one_of(node, COMMIT)),
        on_job_failure: check.key(map, "on_job_failure", |check, node| check.one_of(node, FAILURE)),
    })
}
