//! Entries of a workflow's `jobs`.

use std::rc::Rc;

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::{Found, Kind};
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node, Seq, Span};

use super::requires::Requirement;

/// What an entry says itself; everything else is an argument of its job.
const RESERVED: [&str; 10] = [
    "name",
    "requires",
    "context",
    "type",
    "filters",
    "matrix",
    "pre-steps",
    "post-steps",
    "serial-group",
    "override-with",
];

const LONGEST_SERIAL: usize = 512;

/// What an entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Job,
    Approval,
    Nothing,
}

/// An edge of the graph.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    /// Index of the entry that is waited for.
    pub(super) to: usize,
    pub(super) statuses: Vec<String>,
}

/// A job of a workflow.
#[derive(Debug)]
pub(super) struct Entry {
    /// Name of the definition.
    pub(super) job: String,
    pub(super) span: Span,
    /// Its own name; unique once all entries are named.
    pub(super) name: String,
    /// The name was given.
    pub(super) named: bool,
    /// What members of one matrix are required by together: alias or name of the job.
    pub(super) family: String,
    /// Entries of one matrix have the same number.
    pub(super) origin: usize,
    /// Index (from 1) and number of its matrix siblings.
    pub(super) member: Option<(u32, u32)>,
    /// Members of a job group see only one another: its number.
    pub(super) group: Option<usize>,
    pub(super) requires: Vec<Requirement>,
    pub(super) edges: Vec<Edge>,
    /// Filters leave it.
    pub(super) kept: bool,
    pub(super) contexts: Vec<String>,
    pub(super) work: Work,
    pub(super) pre: Option<Node>,
    pub(super) post: Option<Node>,
    pub(super) serial: Option<String>,
    pub(super) arguments: Vec<(Node, Node)>,
    pub(super) scope: Rc<Scope>,
}

impl Entry {
    /// An entry that does nothing itself.
    pub(super) fn nothing(job: &str, span: Span, origin: usize, scope: &Rc<Scope>) -> Self {
        Self {
            job: job.to_owned(),
            span,
            name: job.to_owned(),
            named: true,
            family: job.to_owned(),
            origin,
            member: None,
            group: None,
            requires: Vec::new(),
            edges: Vec::new(),
            kept: true,
            contexts: Vec::new(),
            work: Work::Nothing,
            pre: None,
            post: None,
            serial: None,
            arguments: Vec::new(),
            scope: scope.clone(),
        }
    }
}

impl Compiler<'_, '_> {
    /// All entries, with matrices unrolled and groups put in their place.
    pub(super) fn entries(&self, items: &Seq, scope: &Rc<Scope>) -> Vec<Entry> {
        let mut all = Vec::with_capacity(items.len());
        for (origin, item) in items.iter().enumerate() {
            let Some((key, map)) = self.head(item, scope) else {
                continue;
            };
            let Some(name) = key.text() else { continue };
            if let Found::Element(_, group) = scope.package.find(Kind::Group, name) {
                self.group(name, group, (&key, map), scope, (origin, &mut all));
                continue;
            }
            self.unrolled(&key, map, scope, origin, &mut all);
        }
        all
    }

    /// Name of the job, and the map of what is said about it.
    pub(super) fn head<'n>(&self, item: &'n Node, scope: &Scope) -> Option<(Node, Option<&'n Map>)> {
        let (key, value) = match (item.as_map(), item.text()) {
            (None, Some(_)) => (item, None),
            (Some(map), _) => match &map[..] {
                [(key, value)] => (key, Some(value)),
                _ => {
                    let message = format!("an entry of {} is one job, but this has {} keys", scope.what, map.len());
                    let problem = Problem::new(&code::CIRCLECI_TYPE, item.span, message);
                    self.report(problem.hint("indent `requires`, `filters` and the like deeper than the job's name"));
                    return None;
                }
            },
            (None, None) => {
                self.wrong_type(
                    item,
                    format_args!("an entry of {}", scope.what),
                    "the name of a job, or a map",
                );
                return None;
            }
        };
        let key = self.interpolate(key, scope);
        if is_unknown(&key) {
            return None;
        }
        let value = value.filter(|value| !is_null(value));
        let map = match value {
            None => None,
            Some(value) => Some(self.map(value, format_args!("an entry of {}", scope.what))?),
        };
        Some((key, map))
    }

    fn unrolled(&self, key: &Node, map: Option<&Map>, scope: &Rc<Scope>, origin: usize, out: &mut Vec<Entry>) {
        let name = key.text().map_or("", |text| text);
        let Some((matrix_key, matrix)) = map.and_then(|map| map.entry("matrix")) else {
            out.extend(self.entry(key, map, scope, origin));
            return;
        };
        let Some(matrix) = self.matrix(matrix, scope) else {
            return;
        };
        let family = matrix.alias.clone().unwrap_or_else(|| name.to_owned());
        let total = u32::try_from(matrix.members.len()).unwrap_or(u32::MAX);
        if matrix.members.is_empty() {
            self.error(&code::CIRCLECI_MATRIX, matrix_key.span, "the matrix leaves no job");
        }
        for (index, values) in matrix.members.into_iter().enumerate() {
            let suffix: Vec<String> = values
                .iter()
                .filter_map(|(_, value)| crate::lang::circleci::read::scalar(value))
                .map(|text| text.to_string())
                .collect();
            let arguments: Vec<(Node, Node)> = values
                .iter()
                .map(|(name, value)| (Node::string(name.clone(), value.span), value.clone()))
                .collect();
            let inner = Rc::new(Scope {
                matrix: Some(values),
                ..Scope::of(&scope.package, scope.what.clone())
            });
            let Some(mut entry) = self.entry(key, map, &inner, origin) else {
                return;
            };
            if !entry.named {
                entry.name = format!("{}-{}", entry.name, suffix.join("-"));
            }
            entry.arguments.extend(arguments);
            entry.family.clone_from(&family);
            entry.member = Some((u32::try_from(index + 1).unwrap_or(u32::MAX), total));
            out.push(entry);
        }
    }

    fn entry(&self, key: &Node, map: Option<&Map>, scope: &Rc<Scope>, origin: usize) -> Option<Entry> {
        let job = key.text()?.to_string();
        let mut entry = Entry {
            named: false,
            work: Work::Job,
            ..Entry::nothing(&job, key.span, origin, scope)
        };
        let filters = map.and_then(|map| map.get("filters"));
        entry.kept = self.keeps(filters, scope, format_args!("job `{job}`"));
        let Some(map) = map else { return Some(entry) };
        let get = |key: &str| {
            let node = map.get(key).filter(|node| !is_null(node))?;
            Some(self.interpolate(node, scope))
        };
        if let Some(node) = get("name") {
            entry.name = self.text(&node, format_args!("`name` of job `{job}`"))?;
            entry.named = true;
        }
        if let Some(node) = get("requires") {
            entry.requires = self.requirements(&node, &job);
        }
        if let Some(node) = get("context") {
            entry.contexts = self
                .texts(&node, "`context`")
                .into_iter()
                .map(|(text, _)| text)
                .collect();
        }
        if let Some(node) = get("type") {
            let word = self.one_of(
                &node,
                format_args!("`type` of job `{job}`"),
                &["approval", "no-op", "build"],
            );
            entry.work = match word.as_deref() {
                Some("approval") => Work::Approval,
                Some("no-op") => Work::Nothing,
                _ => Work::Job,
            };
        }
        if let Some(node) = get("serial-group") {
            entry.serial = self.serial(&node);
        }
        for (word, into) in [("pre-steps", &mut entry.pre), ("post-steps", &mut entry.post)] {
            *into = map
                .get(word)
                .filter(|node| self.seq(node, format_args!("`{word}`")).is_some())
                .cloned();
        }
        if let Some(node) = get("override-with") {
            let name = self.text(&node, "`override-with`")?;
            // The job of the same name is what runs where the orb has none.
            if matches!(scope.package.find(Kind::Job, &name), Found::Element(..)) {
                entry.job = name;
            }
        }
        let own = |key: &Node| key.text().is_some_and(|text| RESERVED.contains(&&**text));
        entry.arguments = map.iter().filter(|(key, _)| !own(key)).cloned().collect();
        if entry.work != Work::Job
            && let Some((key, _)) = entry.arguments.first()
        {
            let text = key.text().map_or("…", |text| text);
            let message = format!("unexpected argument `{text}`: job `{job}` runs nothing");
            let problem = Problem::new(&code::CIRCLECI_ARGUMENT, key.span, message);
            self.report(problem.suggest(text, RESERVED));
        }
        Some(entry)
    }

    fn serial(&self, node: &Node) -> Option<String> {
        let text = self.text(node, "`serial-group`")?;
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
        if !is_unknown(node) && (text.is_empty() || text.len() > LONGEST_SERIAL || !text.chars().all(known)) {
            let message =
                format!("`serial-group` is 1 to {LONGEST_SERIAL} letters, digits, `.`, `_`, `/`, `-`, not `{text}`");
            self.error(&code::CIRCLECI_VALUE, node.span, message);
            return None;
        }
        Some(text)
    }
}
