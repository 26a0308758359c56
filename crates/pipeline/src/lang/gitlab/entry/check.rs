//! The cursor of entry validation: where in the configuration it stands, and checks that every keyword shares.

use std::sync::Arc;

use super::rules::Rule;
use crate::Session;
use crate::diag::{Code, Problem, code, reshaped};
use crate::lang::gitlab::duration;
use crate::lang::gitlab::expr::Expr;
use crate::lang::gitlab::load::{Config, SCHEMA};
use crate::yaml::{Map, Node, Span, Text, Value};
use foldhash::HashMap;

pub(crate) fn value(node: &Node) -> Value<'_> {
    node.value(SCHEMA)
}

/// A text with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// All results, or none where one is missing; everything is read before that is decided, so that every fault is found
/// in one go.
pub(crate) fn every<T>(results: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let results: Vec<Option<T>> = results.collect();
    results.into_iter().collect()
}

/// Unknown keys that are named of one map.
const MAX_UNKNOWN_KEYS: usize = 20;

/// Lists may be nested this deep where they are flattened.
const MAX_NESTING: usize = 10;

/// A job without work, or null in the place of a value: what an include, a base or a reference should have brought.
fn is_about_something_missing(problem: &Problem) -> bool {
    let null = problem.code == &code::GITLAB_TYPE && problem.message.ends_with("nothing (null)");
    null || problem.code == &code::GITLAB_JOB
}

/// A key on the way from the top. Cheap to make: paths are only shown where something is wrong.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Keyword(&'static str),
    Name(Text),
}

impl From<&'static str> for Step {
    fn from(keyword: &'static str) -> Self {
        Self::Keyword(keyword)
    }
}

impl From<&Text> for Step {
    fn from(name: &Text) -> Self {
        Self::Name(name.clone())
    }
}

impl std::ops::Deref for Step {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Keyword(keyword) => keyword,
            Self::Name(name) => name,
        }
    }
}

pub(crate) struct Check<'s> {
    pub(crate) session: &'s Session<'s>,
    config: &'s Config,
    /// Everything was included, extended and resolved. Otherwise what is missing is no finding of its own.
    whole: bool,
    path: Vec<Step>,
    /// The job that is read: findings in what it extends say so.
    job: Option<Text>,
    /// Expressions read so far, by their text: jobs share most of theirs.
    pub(super) expressions: HashMap<String, Arc<Expr>>,
    /// Good lists of rules read so far, by the place of their nodes in memory: jobs that extend the same base share them.
    pub(super) rules: HashMap<*const Node, Arc<[Rule]>>,
}

impl<'s> Check<'s> {
    pub(crate) fn new(session: &'s Session<'s>, config: &'s Config) -> Self {
        Self {
            session,
            config,
            whole: session.errors() == 0,
            path: Vec::new(),
            job: None,
            expressions: HashMap::default(),
            rules: HashMap::default(),
        }
    }

    /// Runs `inner` for a job.
    pub(super) fn within_job<T>(&mut self, name: &Text, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.job = Some(name.clone());
        self.path.push("jobs".into());
        let result = self.within(name, inner);
        self.path.pop();
        self.job = None;
        result
    }

    /// Runs `inner` one key deeper.
    pub(crate) fn within<T>(&mut self, key: impl Into<Step>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.into());
        let result = inner(self);
        self.path.pop();
        result
    }

    /// `jobs:build:script`, as GitLab names places.
    pub(crate) fn place(&self) -> String {
        if self.path.is_empty() {
            return "root".to_owned();
        }
        self.path.iter().map(|step| &**step).collect::<Vec<_>>().join(":")
    }

    /// A finding about this place: "jobs:build:script config …".
    pub(crate) fn problem(&self, code: &'static Code, span: Span, text: &str) -> Problem {
        Problem::new(code, span, format!("{} {text}", self.place()))
    }

    pub(crate) fn report(&self, mut problem: Problem) {
        if !self.whole && is_about_something_missing(&problem) {
            return;
        }
        if let Some(job) = &self.job {
            problem.trail.extend(self.config.trail(job, problem.span));
        }
        self.session.report(problem);
    }

    /// "… config should be a string, not a list".
    pub(crate) fn wrong_type(&self, node: &Node, expected: &str) {
        let found = value(node).describe();
        let text = format!("config should be {expected}, not {found}");
        let mut problem = self.problem(&code::GITLAB_TYPE, node.span, &text);
        problem.hint = reshaped(node, expected);
        self.report(problem);
    }

    /// "… config <text>" about a value that has the right type.
    pub(crate) fn bad_value(&self, span: Span, text: &str) {
        self.report(self.problem(&code::GITLAB_VALUE, span, &format!("config {text}")));
    }

    /// What is valid but not done yet.
    pub(crate) fn unsupported(&self, span: Span, what: &str) {
        self.report(self.problem(&code::UNSUPPORTED, span, &format!("{what} is not supported yet")));
    }

    /// The map, with every key that is not known reported.
    pub(crate) fn map<'n>(&self, node: &'n Node, known: &[&str]) -> Option<&'n Map> {
        let Value::Map(map) = value(node) else {
            self.wrong_type(node, "a map");
            return None;
        };
        self.known_keys(map, known);
        Some(map)
    }

    /// The same for a map that must have something in it.
    pub(super) fn filled_map<'n>(&self, node: &'n Node, known: &[&str]) -> Option<&'n Map> {
        let map = self.map(node, known)?;
        if map.is_empty() {
            self.bad_value(node.span, "can't be blank");
            return None;
        }
        Some(map)
    }

    pub(crate) fn known_keys(&self, map: &Map, known: &[&str]) {
        let names = map.iter().filter_map(|(key, _)| Some((key.text()?, key.span)));
        let unknown = names.filter(|(name, _)| !known.contains(&&***name));
        for (name, span) in unknown.take(MAX_UNKNOWN_KEYS) {
            let text = format!("config contains unknown keys: {name}");
            let problem = self
                .problem(&code::GITLAB_UNKNOWN_KEY, span, &text)
                .suggest(name, known.iter().copied());
            self.report(problem.or_list("known keys are:", known));
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'n>(&self, map: &'n Map, of: Span, key: &'static str) -> Option<&'n Node> {
        let found = map.get(key).filter(|node| value(node) != Value::Null);
        if found.is_none() {
            self.report(self.problem(&code::GITLAB_MISSING_KEY, of, &format!("config misses the key: {key}")));
        }
        found
    }

    /// A key that may be absent or null, read one level deeper.
    pub(crate) fn key<T>(
        &mut self,
        map: &Map,
        key: &'static str,
        read: impl FnOnce(&mut Self, &Node) -> Option<T>,
    ) -> Option<T> {
        let node = map.get(key).filter(|node| value(node) != Value::Null)?;
        self.within(key, |check| read(check, node))
    }

    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        match value(node) {
            Value::Text(text) | Value::Symbol(text) => Some(text.to_owned()),
            _ => {
                let hint = value(node)
                    .to_text()
                    .filter(|t| !t.is_empty())
                    .map(|t| format!("write `\"{t}\"`"));
                let mut problem = self.problem(
                    &code::GITLAB_TYPE,
                    node.span,
                    &format!("config should be a string, not {}", value(node).describe()),
                );
                problem.hint = hint;
                self.report(problem);
                None
            }
        }
    }

    pub(crate) fn located(&mut self, node: &Node) -> Option<Located> {
        self.text(node).map(|text| Located { text, span: node.span })
    }

    /// A text that is not blank.
    pub(crate) fn filled_text(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if text.trim().is_empty() {
            self.bad_value(node.span, "can't be blank");
            return None;
        }
        Some(text)
    }

    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match value(node) {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.wrong_type(node, "a boolean value");
                None
            }
        }
    }

    pub(crate) fn integer(&mut self, node: &Node) -> Option<i64> {
        match value(node) {
            Value::Int(n) => Some(n),
            _ => {
                self.wrong_type(node, "an integer");
                None
            }
        }
    }

    /// A text with a duration, at most `limit` seconds.
    pub(crate) fn duration(&mut self, node: &Node, limit: Option<(u64, &str)>) -> Option<u64> {
        let text = match value(node) {
            Value::Text(text) | Value::Symbol(text) => text,
            Value::Int(n) => {
                let problem = self.problem(&code::GITLAB_VALUE, node.span, "config should be a duration");
                self.report(problem.hint(format!("put it in quotes: `\"{n}\"` is {n} seconds")));
                return None;
            }
            _ => {
                self.wrong_type(node, "a duration");
                return None;
            }
        };
        let Some(seconds) = duration::parse(text) else {
            let problem = self.problem(
                &code::GITLAB_VALUE,
                node.span,
                &format!("config should be a duration, not `{text}`"),
            );
            self.report(problem.hint("write for example `1h 30m`, `2 weeks` or `3600` (seconds, in quotes)"));
            return None;
        };
        if let Some((limit, name)) = limit
            && seconds > limit
        {
            self.bad_value(node.span, &format!("should not exceed the limit of {name}"));
            return None;
        }
        Some(seconds)
    }

    /// One of these words.
    pub(crate) fn one_of<T: Copy>(&mut self, node: &Node, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, found)) = known.iter().find(|(word, _)| *word == text) {
            return Some(*found);
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let problem = self.problem(
            &code::GITLAB_VALUE,
            node.span,
            &format!("config should be one of: {}, not `{text}`", words.join(", ")),
        );
        self.report(problem.suggest(&text, words));
        None
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, node: &Node) -> Option<Vec<Located>> {
        let Value::Seq(items) = value(node) else {
            self.wrong_type(node, "an array of strings");
            return None;
        };
        every(items.iter().map(|item| self.located(item)))
    }

    /// A list of strings, or one string.
    pub(crate) fn string_or_strings(&mut self, node: &Node) -> Option<Vec<Located>> {
        match value(node) {
            Value::Text(_) | Value::Symbol(_) => Some(vec![self.located(node)?]),
            Value::Seq(_) => self.strings(node),
            _ => {
                self.wrong_type(node, "a string or an array of strings");
                None
            }
        }
    }

    pub(crate) fn plain_strings(&mut self, node: &Node) -> Option<Vec<String>> {
        Some(self.strings(node)?.into_iter().map(|item| item.text).collect())
    }

    pub(crate) fn string_or_plain_strings(&mut self, node: &Node) -> Option<Vec<String>> {
        Some(
            self.string_or_strings(node)?
                .into_iter()
                .map(|item| item.text)
                .collect(),
        )
    }

    /// The items of a list whose inner lists are flattened.
    pub(crate) fn flat<'n>(&mut self, node: &'n Node) -> Option<Vec<&'n Node>> {
        let mut out = Vec::new();
        let Value::Seq(items) = value(node) else {
            self.wrong_type(node, "an array");
            return None;
        };
        self.flatten(items, 1, &mut out)?;
        Some(out)
    }

    fn flatten<'n>(&mut self, items: &'n [Node], level: usize, out: &mut Vec<&'n Node>) -> Option<()> {
        for item in items {
            match value(item) {
                Value::Seq(inner) if level >= MAX_NESTING => {
                    if let Some(first) = inner.first() {
                        self.bad_value(first.span, &format!("is nested more than {MAX_NESTING} levels deep"));
                    }
                    return None;
                }
                Value::Seq(inner) => self.flatten(inner, level + 1, out)?,
                _ => out.push(item),
            }
        }
        Some(())
    }

    /// Reports all but the first of keys that exclude one another.
    pub(crate) fn exclusive(&self, map: &Map, keys: &[&str]) {
        let given: Vec<_> = keys.iter().filter_map(|key| map.entry(key)).collect();
        if given.len() < 2 {
            return;
        }
        let last = given
            .iter()
            .max_by_key(|(key, _)| (key.span.file, key.span.line, key.span.column));
        let names: Vec<&str> = given.iter().filter_map(|(key, _)| key.text().map(|t| &**t)).collect();
        if let Some((key, _)) = last {
            let text = format!("config these keys cannot be used together: {}", names.join(", "));
            self.report(self.problem(&code::GITLAB_EXCLUSIVE_KEYS, key.span, &text));
        }
    }
}
