//! Branch, tag and path filters: patterns in order, the last that matches decides.

use tasuki_model::trigger::GitRef;

use super::super::fields;
use super::glob::Pattern;
use crate::Session;
use crate::diag::code;
use crate::yaml::{Map, Node};

/// What one list of patterns says.
#[derive(Debug, Clone)]
struct List {
    patterns: Vec<(Sign, Pattern)>,
    /// `…-ignore`: what matches is left out.
    ignores: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Take,
    Leave,
}

impl List {
    fn matches(&self, text: &str) -> bool {
        let last = self.patterns.iter().rev().find(|(_, pattern)| pattern.matches(text));
        last.is_some_and(|(sign, _)| *sign == Sign::Take)
    }

    fn admits(&self, text: &str) -> bool {
        self.matches(text) != self.ignores
    }
}

/// The filters of one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    branches: Option<List>,
    tags: Option<List>,
    paths: Option<List>,
}

/// Whether a pipeline is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// The changed paths decide.
    AskPaths,
}

impl Filters {
    /// Reads the filters among the keys of an event.
    pub(super) fn read(session: &Session<'_>, map: &Map) -> Self {
        Self {
            branches: list(session, map, "branches"),
            tags: list(session, map, "tags"),
            paths: list(session, map, "paths"),
        }
    }

    /// What they say about a pushed ref.
    pub(crate) fn of_push(&self, git_ref: &GitRef) -> Verdict {
        let (own, other, name) = match git_ref {
            GitRef::Tag(name) => (&self.tags, &self.branches, name),
            GitRef::Branch(name) => (&self.branches, &self.tags, name),
            GitRef::MergeRequest { .. } => return Verdict::No,
        };
        let wanted = match (own, other) {
            (Some(list), _) => list.admits(name),
            // Filters of branches alone never let a tag in, and the other way round.
            (None, Some(_)) => false,
            (None, None) => true,
        };
        match (wanted, &self.paths, git_ref) {
            (false, ..) => Verdict::No,
            (true, Some(_), GitRef::Branch(_)) => Verdict::AskPaths,
            (true, ..) => Verdict::Yes,
        }
    }

    /// What they say about a pull request into a branch.
    pub(crate) fn of_pull_request(&self, base: &str) -> Verdict {
        match (&self.branches, &self.paths) {
            (Some(list), _) if !list.admits(base) => Verdict::No,
            (_, Some(_)) => Verdict::AskPaths,
            (_, None) => Verdict::Yes,
        }
    }

    /// Whether one of the changed paths is wanted; without anything to compare with all are.
    pub(crate) fn admits_paths(&self, changed: Option<&[String]>) -> bool {
        match (&self.paths, changed) {
            (Some(list), Some(changed)) => changed.iter().any(|path| list.admits(path)),
            (None, _) | (_, None) => true,
        }
    }
}

fn list(session: &Session<'_>, map: &Map, name: &str) -> Option<List> {
    let ignore = format!("{name}-ignore");
    let (key, node, ignores) = match (map.entry(name), map.entry(&ignore)) {
        (Some(_), Some((key, _))) => {
            let message = format!("`{name}` and `{ignore}` exclude each other");
            session.error(&code::GITHUB_FILTER, key.span, message);
            return None;
        }
        (Some((key, node)), None) => (key, node, false),
        (None, Some((key, node))) => (key, node, true),
        (None, None) => return None,
    };
    let mut patterns = Vec::new();
    for item in fields::one_or_many(node) {
        patterns.extend(pattern(session, item, name));
    }
    if !ignores && !patterns.is_empty() && patterns.iter().all(|(sign, _)| *sign == Sign::Leave) {
        let message = format!("`{name}` has only patterns with `!`, so that nothing could match");
        session.report(
            crate::diag::Problem::new(&code::GITHUB_FILTER, key.span, message)
                .hint(format!("add a pattern without `!`, or use `{ignore}`")),
        );
    }
    Some(List { patterns, ignores })
}

fn pattern(session: &Session<'_>, item: &Node, name: &str) -> Option<(Sign, Pattern)> {
    let text = fields::plain(session, item, &format_args!("a pattern of `{name}`"))?;
    let (sign, rest) = match text.strip_prefix('!') {
        Some(rest) => (Sign::Leave, rest),
        None => (Sign::Take, text),
    };
    match Pattern::new(rest) {
        Ok(pattern) => Some((sign, pattern)),
        Err(problem) => {
            session.error(
                &code::GITHUB_FILTER,
                item.span,
                format!("the pattern `{text}`: {problem}"),
            );
            None
        }
    }
}
