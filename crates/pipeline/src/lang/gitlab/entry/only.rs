//! `only` and `except`.

use std::sync::Arc;

use super::check::{Check, Located, every, value};
use super::rules::condition;
use crate::diag::code;
use crate::lang::gitlab::expr::{Expr, Pattern};
use crate::yaml::{Node, Value};

/// A policy. Each kind that is given is tested by itself: `only` wants all of them, `except` any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) refs: Option<Vec<RefRule>>,
    pub(crate) variables: Option<Vec<Arc<Expr>>>,
    pub(crate) changes: Option<Vec<Located>>,
    /// `kubernetes: active`: never, there is no cluster of GitLab's kind.
    pub(crate) kubernetes: bool,
}

/// An entry of `refs`.
#[derive(Debug, Clone)]
pub(crate) struct RefRule {
    pub(crate) name: RefName,
    /// `@group/project`: holds only there.
    pub(crate) project: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum RefName {
    /// `branches`, `tags`, `schedules`, or a literal ref.
    Word(String),
    Pattern(Pattern),
}

impl Policy {
    /// What a job without rules has in a pipeline without workflow rules.
    pub(crate) fn branches_and_tags() -> Self {
        let word = |word: &str| RefRule {
            name: RefName::Word(word.to_owned()),
            project: None,
        };
        Self {
            refs: Some(vec![word("branches"), word("tags")]),
            ..Self::default()
        }
    }
}

pub(super) fn policy(check: &mut Check<'_>, node: &Node) -> Option<Policy> {
    match value(node) {
        Value::Seq(_) => Some(Policy {
            refs: Some(refs(check, node)?),
            ..Policy::default()
        }),
        Value::Map(_) => {
            let map = check.filled_map(node, &["refs", "variables", "changes", "kubernetes"])?;
            Some(Policy {
                refs: check.key(map, "refs", refs),
                variables: check.key(map, "variables", |check, node| {
                    let Value::Seq(items) = value(node) else {
                        check.wrong_type(node, "an array of strings");
                        return None;
                    };
                    every(items.iter().map(|item| condition(check, item)))
                }),
                changes: check.key(map, "changes", Check::strings),
                kubernetes: check
                    .key(map, "kubernetes", |check, node| check.one_of(node, &[("active", true)]))
                    .unwrap_or(false),
            })
        }
        _ => {
            let mut problem = check.problem(
                &code::GITLAB_TYPE,
                node.span,
                &format!(
                    "has to be either an array of conditions or a hash, not {}",
                    value(node).describe()
                ),
            );
            problem.hint = node.text().map(|name| format!("write it as a list: `[{name}]`"));
            check.report(problem);
            None
        }
    }
}

fn refs(check: &mut Check<'_>, node: &Node) -> Option<Vec<RefRule>> {
    let items = check.strings(node)?;
    every(items.into_iter().map(|item| ref_rule(check, item)))
}

fn ref_rule(check: &mut Check<'_>, item: Located) -> Option<RefRule> {
    if item.text.starts_with('/') {
        let close = item.text.rfind('/').unwrap_or(0);
        let (pattern, project) = match item.text[close..].split_once('@') {
            Some((flags, _)) => {
                let at = close + flags.len();
                (&item.text[..at], Some(&item.text[at + 1..]))
            }
            None => split_pattern(&item.text),
        };
        let Some(pattern) = Pattern::from_slashes(pattern) else {
            let text = format!("config `{}` is no regular expression", item.text);
            let problem = check.problem(&code::GITLAB_EXPRESSION, item.span, &text);
            check.report(problem.hint("the syntax is RE2's, with flags of `ismU`: no look-around, no back references"));
            return None;
        };
        return Some(RefRule {
            name: RefName::Pattern(pattern),
            project: project.map(str::to_owned),
        });
    }
    let (name, project) = match item.text.split_once('@') {
        Some((name, project)) => (name, Some(project.to_owned())),
        None => (item.text.as_str(), None),
    };
    Some(RefRule {
        name: RefName::Word(name.to_owned()),
        project,
    })
}

/// `/re/@group/project`: the project's own slash is the last one there.
fn split_pattern(text: &str) -> (&str, Option<&str>) {
    match text.rfind("/@") {
        Some(at) => (&text[..=at], Some(&text[at + 2..])),
        None => (text, None),
    }
}
