//! `!reference [job, key, …]`.

use std::collections::HashMap;

use super::SCHEMA;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node, Seq, Tag, Text, Value};

/// References may lead to references this often in a row.
const CHAIN: usize = 100;

/// Replaces every reference by what it leads to. One that leads nowhere is reported and becomes null.
///
/// A reference to a list inside a list stays a list in a list: who reads a key that is flattened, flattens.
pub(super) fn resolve(session: &Session<'_>, root: Map) -> Map {
    if !root.has_reference() {
        return root;
    }
    let mut resolver = Resolver {
        session,
        root: &root,
        done: HashMap::new(),
        open: Vec::new(),
        level: 0,
    };
    let entries = root.iter().map(|(key, body)| (key.clone(), resolver.node(body)));
    Map::from_unique(entries.collect())
}

struct Resolver<'r, 's, 'a> {
    session: &'s Session<'a>,
    root: &'r Map,
    /// By path. `None`: was reported.
    done: HashMap<Vec<Text>, Option<Node>>,
    open: Vec<Vec<Text>>,
    /// Levels of nesting above the present node: references must not pile up to more than a file may have.
    level: u16,
}

impl Resolver<'_, '_, '_> {
    fn node(&mut self, node: &Node) -> Node {
        if !node.has_reference() {
            return node.clone();
        }
        match node.value(SCHEMA) {
            Value::Reference(path) => self.reference(node, path),
            _ if node.tag == Tag::Reference => {
                self.malformed(node);
                Node::plain("", node.span)
            }
            Value::Map(map) => {
                self.level = self.level.saturating_add(1);
                let entries = map.iter().map(|(key, value)| (key.clone(), self.node(value))).collect();
                self.level -= 1;
                Node::map_of(Map::from_unique(entries), node.span)
            }
            Value::Seq(items) => {
                self.level = self.level.saturating_add(1);
                let items = items.iter().map(|item| self.node(item)).collect();
                self.level -= 1;
                Node::seq(items, node.span)
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Symbol(_)
            | Value::Date(_) => node.clone(),
        }
    }

    fn reference(&mut self, node: &Node, path: &Seq) -> Node {
        let nothing = Node::plain("", node.span);
        let keys: Option<Vec<Text>> = path
            .iter()
            .map(|key| match key.value(SCHEMA) {
                Value::Text(_) | Value::Symbol(_) => key.text().cloned(),
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Date(_)
                | Value::Map(_)
                | Value::Seq(_)
                | Value::Reference(_) => None,
            })
            .collect();
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            self.malformed(node);
            return nothing;
        };
        if let Some(done) = self.done.get(&keys) {
            let done = done.clone().filter(|found| self.fits(node, found));
            return done.unwrap_or(nothing);
        }
        let shown = keys
            .iter()
            .map(|key| format!("\"{key}\""))
            .collect::<Vec<_>>()
            .join(", ");
        if self.open.contains(&keys) || self.open.len() >= CHAIN {
            let message = format!("!reference [{shown}] is part of a circular chain");
            self.session.error(&code::GITLAB_REFERENCE, node.span, message);
            return nothing;
        }
        self.open.push(keys.clone());
        let found = self.find(node, &keys, &shown).filter(|found| self.fits(node, found));
        let found = found
            .map(|found| self.node(&found))
            .filter(|found| self.fits(node, found));
        self.open.pop();
        self.done.insert(keys, found.clone());
        found.unwrap_or(nothing)
    }

    /// Whether what was found may stand where the reference is.
    fn fits(&self, node: &Node, found: &Node) -> bool {
        let limits = self.session.input.context.limits.yaml;
        let fits = self.level.saturating_add(found.depth()) <= limits.depth && found.weight() <= limits.nodes;
        if !fits {
            let message = "the configuration is too deep or too big once this reference is followed";
            self.session.error(&code::YAML_TOO_BIG, node.span, message);
        }
        fits
    }

    fn malformed(&self, node: &Node) {
        let message = "!reference takes a list of one or more strings: [job, key, …]";
        self.session.error(&code::GITLAB_REFERENCE, node.span, message);
    }

    /// What stands at the end of a path.
    fn find(&mut self, node: &Node, keys: &[Text], shown: &str) -> Option<Node> {
        let mut map = self.root.clone();
        for (at, key) in keys.iter().enumerate() {
            let Some(found) = map.get(key) else {
                self.missing(node, shown, key, &map);
                return None;
            };
            let last = at + 1 == keys.len();
            if last {
                if matches!(found.value(SCHEMA), Value::Null | Value::Bool(false)) {
                    let message = format!("!reference [{shown}] could not be found: its value is null or false");
                    self.session.error(&code::GITLAB_REFERENCE, node.span, message);
                    return None;
                }
                return Some(found.clone());
            }
            let inner = if found.tag == Tag::Reference {
                self.node(found)
            } else {
                found.clone()
            };
            let Some(inner) = inner.as_map() else {
                let what = inner.value(SCHEMA).describe();
                let message = format!("!reference [{shown}] could not be found: `{key}` is {what}, not a map");
                self.session.error(&code::GITLAB_REFERENCE, node.span, message);
                return None;
            };
            map = inner.clone();
        }
        None
    }

    fn missing(&self, node: &Node, shown: &str, key: &str, map: &Map) {
        let message = format!("!reference [{shown}] could not be found: there is no `{key}`");
        let mut problem = Problem::new(&code::GITLAB_REFERENCE, node.span, message);
        if self.session.may_suggest() {
            problem = problem.suggest(key, map.iter().filter_map(|(key, _)| key.text().map(|text| &**text)));
        }
        self.session.report(problem);
    }
}
