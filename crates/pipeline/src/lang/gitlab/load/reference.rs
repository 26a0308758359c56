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
    };
    let entries = root.iter().map(|(key, body)| (key.clone(), resolver.node(body)));
    let resolved = Map::from_unique(entries.collect());
    let limit = session.input.context.limits.yaml.nodes.saturating_mul(10);
    let heavy = resolved.iter().find(|(_, body)| body.weight() > limit / 10);
    if let Some((key, _)) = heavy.or_else(|| resolved.first().filter(|_| resolved.weight() > limit)) {
        let message = "the configuration is too big once its references are followed";
        session.error(&code::YAML_TOO_BIG, key.span, message);
        return Map::new(Vec::new());
    }
    resolved
}

struct Resolver<'r, 's, 'a> {
    session: &'s Session<'a>,
    root: &'r Map,
    /// By path. `None`: was reported.
    done: HashMap<Vec<Text>, Option<Node>>,
    open: Vec<Vec<Text>>,
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
                let entries = map.iter().map(|(key, value)| (key.clone(), self.node(value)));
                Node::map_of(Map::from_unique(entries.collect()), node.span)
            }
            Value::Seq(items) => Node::seq(items.iter().map(|item| self.node(item)).collect(), node.span),
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
            return done.clone().unwrap_or(nothing);
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
        let found = self.find(node, &keys, &shown).map(|found| self.node(&found));
        self.open.pop();
        self.done.insert(keys, found.clone());
        found.unwrap_or(nothing)
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
        let known = map.iter().filter_map(|(key, _)| key.text().map(|text| &**text));
        self.session
            .report(Problem::new(&code::GITLAB_REFERENCE, node.span, message).suggest(key, known));
    }
}
