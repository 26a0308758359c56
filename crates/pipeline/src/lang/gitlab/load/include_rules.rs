//! `include:rules`.

use super::SCHEMA;
use crate::diag::{Problem, code};
use crate::lang::gitlab::expr;
use crate::lang::gitlab::glob::Glob;
use crate::lang::gitlab::variables::Scope;
use crate::request::{Answer, Origin, Request};
use crate::yaml::{Map, Node, Value};
use crate::{Refusal, Session};

const KEYS: &[&str] = &["if", "exists", "changes", "when"];

/// Tests of path against pattern beyond which a clause counts as true.
const MOST_TESTS: usize = 50_000;

/// Whether the entry is included: the first rule that holds says so; without one it is not. `None`: something has
/// to be asked first, or the rules are wrong.
pub(super) fn decide(session: &Session<'_>, rules: &Node, scope: &Scope<'_>, origin: &Origin) -> Option<bool> {
    let errors = session.errors();
    let rules = match rules.value(SCHEMA) {
        Value::Seq(items) if !items.is_empty() => items.to_vec(),
        Value::Seq(_) => {
            session.error(&code::GITLAB_INCLUDE, rules.span, "include:rules config can't be blank");
            return None;
        }
        other => {
            let message = format!("include:rules should be an array of hashes, not {}", other.describe());
            session.error(&code::GITLAB_INCLUDE, rules.span, message);
            return None;
        }
    };
    // All rules are checked, also those after the one that decides.
    let checked: Vec<Option<Rule<'_>>> = rules.iter().map(|rule| Rule::read(session, rule)).collect();
    if session.errors() > errors {
        return None;
    }
    for rule in checked.into_iter().flatten() {
        if rule.holds(session, scope, origin)? {
            return Some(rule.include);
        }
    }
    Some(false)
}

struct Rule<'r> {
    condition: Option<expr::Expr>,
    map: &'r Map,
    include: bool,
}

impl<'r> Rule<'r> {
    fn read(session: &Session<'_>, rule: &'r Node) -> Option<Self> {
        let Some(map) = rule.as_map() else {
            let what = rule.value(SCHEMA).describe();
            let message = format!("include:rules:rule should be a hash, not {what}");
            session.error(&code::GITLAB_INCLUDE, rule.span, message);
            return None;
        };
        for (key, _) in map.iter() {
            let Some(text) = key.text().filter(|text| !KEYS.contains(&&***text)) else {
                continue;
            };
            let message = format!("include:rules:rule config contains unknown keys: {text}");
            session.report(Problem::new(&code::GITLAB_INCLUDE, key.span, message).suggest(text, KEYS.iter().copied()));
        }
        let condition = match map.get("if").map(|node| (node, node.value(SCHEMA))) {
            None | Some((_, Value::Null)) => None,
            Some((node, Value::Text(text))) => match expr::parse(text) {
                Ok(expr) => Some(expr),
                Err(error) => {
                    let message = format!("include:rules:rule if invalid expression syntax: {error}");
                    let mut problem = Problem::new(&code::GITLAB_INCLUDE, node.span, message);
                    problem.hint = error.hint();
                    session.report(problem);
                    return None;
                }
            },
            Some((node, other)) => {
                let message = format!("include:rules:rule if should be a string, not {}", other.describe());
                session.error(&code::GITLAB_INCLUDE, node.span, message);
                return None;
            }
        };
        let include = match map.get("when").map(|node| (node, node.value(SCHEMA))) {
            None | Some((_, Value::Null | Value::Text("always"))) => true,
            Some((_, Value::Text("never"))) => false,
            Some((node, other)) => {
                let shown = other.to_text().unwrap_or_default();
                let message = format!("include:rules:rule when unknown value: {shown}; it is always or never");
                session.error(&code::GITLAB_INCLUDE, node.span, message);
                return None;
            }
        };
        Some(Self {
            condition,
            map,
            include,
        })
    }

    fn holds(&self, session: &Session<'_>, scope: &Scope<'_>, origin: &Origin) -> Option<bool> {
        if self
            .condition
            .as_ref()
            .is_some_and(|condition| !expr::holds(condition, scope))
        {
            return Some(false);
        }
        if let Some(changes) = self.map.get("changes")
            && !changed(session, changes, scope)?
        {
            return Some(false);
        }
        if let Some(exists) = self.map.get("exists")
            && !exist(session, exists, scope, origin)?
        {
            return Some(false);
        }
        Some(true)
    }
}

/// The patterns of a clause: a list, or under `paths`.
fn patterns(session: &Session<'_>, clause: &Node, name: &str, scope: &Scope<'_>) -> Option<Vec<String>> {
    let list = clause.get("paths").unwrap_or(clause);
    let texts: Option<Vec<String>> = match list.value(SCHEMA) {
        Value::Text(text) => Some(vec![text.to_owned()]),
        Value::Seq(items) => items
            .iter()
            .map(|item| Some(item.value(SCHEMA).to_text()?.into_owned()))
            .collect(),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Symbol(_)
        | Value::Date(_)
        | Value::Map(_)
        | Value::Reference(_) => None,
    };
    let Some(texts) = texts else {
        let message = format!("include:rules:rule {name} should be an array of strings");
        session.error(&code::GITLAB_INCLUDE, list.span, message);
        return None;
    };
    Some(texts.iter().map(|text| scope.expand_existing(text)).collect())
}

fn changed(session: &Session<'_>, clause: &Node, scope: &Scope<'_>) -> Option<bool> {
    let patterns = patterns(session, clause, "changes", scope)?;
    let compare_to = clause
        .get("compare_to")
        .and_then(Node::text)
        .map(|text| scope.expand_existing(text));
    match session.ask(Request::Changed { compare_to })? {
        Answer::Changed(None) => Some(true),
        Answer::Changed(Some(paths)) => {
            let globs: Vec<Glob> = patterns.iter().map(|pattern| Glob::new(pattern)).collect();
            if paths.len().saturating_mul(globs.len()) > MOST_TESTS {
                return Some(true);
            }
            Some(paths.iter().any(|path| globs.iter().any(|glob| glob.matches(path))))
        }
        Answer::Refused(Refusal::BadRef) => {
            session.error(
                &code::GITLAB_INCLUDE,
                clause.span,
                "include:rules:changes:compare_to is not a valid ref",
            );
            None
        }
        Answer::Refused(refusal) => refused(session, clause, "changes", refusal),
        Answer::File(_) | Answer::Tree(_) | Answer::Commits(_) => None,
    }
}

fn exist(session: &Session<'_>, clause: &Node, scope: &Scope<'_>, origin: &Origin) -> Option<bool> {
    let patterns = patterns(session, clause, "exists", scope)?;
    let text = |key: &str| {
        clause
            .get(key)
            .and_then(Node::text)
            .map(|text| scope.expand_existing(text))
    };
    let origin = match text("project") {
        Some(project) => Origin::Project {
            project,
            git_ref: text("ref").unwrap_or_else(|| "HEAD".to_owned()),
        },
        None => origin.clone(),
    };
    match session.ask(Request::Tree { origin })? {
        Answer::Tree(tree) => {
            let (simple, special): (Vec<&String>, Vec<&String>) =
                patterns.iter().partition(|pattern| Glob::literal(pattern).is_some());
            let there = |path: &&String| {
                tree.blob(path).is_some() || (path.ends_with('/') && tree.has_folder(path.trim_end_matches('/')))
            };
            if simple.iter().any(there) {
                return Some(true);
            }
            let globs: Vec<Glob> = special.iter().map(|pattern| Glob::new(pattern)).collect();
            let mut tests = 0_usize;
            for (path, _) in tree.files() {
                tests += globs.len();
                if tests > MOST_TESTS || globs.iter().any(|glob| glob.matches(path)) {
                    return Some(true);
                }
            }
            Some(false)
        }
        Answer::Refused(refusal) => refused(session, clause, "exists", refusal),
        Answer::File(_) | Answer::Changed(_) | Answer::Commits(_) => None,
    }
}

fn refused(session: &Session<'_>, clause: &Node, name: &str, refusal: &Refusal) -> Option<bool> {
    let message = format!("include:rules:{name}: what it asks for {}", refusal.explain());
    session.error(&code::GITLAB_INCLUDE, clause.span, message);
    None
}
