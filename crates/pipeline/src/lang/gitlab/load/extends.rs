//! `extends`.

use std::collections::HashMap;

use super::{SCHEMA, merge};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, MapBuilder, Node, Text, Value};

/// Resolves every `extends` of the merged configuration. Returns it with, for each job that extends, the names of
/// its bases, nearest first. What cannot be resolved is reported and left as it is.
pub(super) fn resolve(session: &Session<'_>, root: Map) -> (Map, HashMap<Text, Vec<Text>>) {
    let extending = |(_, body): &(Node, Node)| body.get("extends").is_some();
    if !root.iter().any(extending) {
        return (root, HashMap::new());
    }
    let mut resolver = Resolver {
        session,
        root: &root,
        done: HashMap::new(),
        open: Vec::new(),
    };
    let mut resolved = MapBuilder::with_capacity(root.len());
    let mut bases = HashMap::new();
    for (key, body) in root.iter() {
        let mut body = body.clone();
        if let Some(name) = key.text()
            && let Some(done) = resolver.job(name)
        {
            body = Node::map_of(done.map, body.span);
            bases.insert(name.clone(), done.bases);
        }
        resolved.insert(key.clone(), body);
    }
    (resolved.finish(), bases)
}

#[derive(Clone)]
struct Resolved {
    map: Map,
    bases: Vec<Text>,
    /// Generations of bases above it.
    level: usize,
}

struct Resolver<'r, 's, 'a> {
    session: &'s Session<'a>,
    root: &'r Map,
    /// `None`: was reported.
    done: HashMap<Text, Option<Resolved>>,
    open: Vec<Text>,
}

impl Resolver<'_, '_, '_> {
    /// The job with everything that it extends. `None`: it does not extend, or was reported.
    fn job(&mut self, name: &Text) -> Option<Resolved> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let (_, body) = self.root.entry(name)?;
        let map = body.as_map()?;
        let extends = map.get("extends")?;
        self.open.push(name.clone());
        let resolved = self.extend(name, map, extends);
        self.open.pop();
        self.done.insert(name.clone(), resolved.clone());
        resolved
    }

    fn extend(&mut self, name: &Text, map: &Map, extends: &Node) -> Option<Resolved> {
        let named = self.names(name, extends)?;
        let mut merged = MapBuilder::default();
        let mut bases = Vec::new();
        let mut level = 0;
        for base in &named {
            let text = base.text()?;
            let (base_map, above) = self.base(name, base, text)?;
            merge::lay_over(&mut merged, &base_map);
            bases.push(text.clone());
            if let Some(above) = above {
                level = level.max(above.level);
                bases.extend(above.bases);
            }
        }
        level += 1;
        let limit = self.session.input.context.limits.extends;
        if level > limit + 1 {
            let message = format!("{name}: nesting too deep in `extends`: at most {limit} generations are allowed");
            self.session.error(&code::GITLAB_EXTENDS, extends.span, message);
            return None;
        }
        merge::lay_over(&mut merged, map);
        Some(Resolved {
            map: merged.finish(),
            bases,
            level,
        })
    }

    /// One base with all that it extends itself.
    fn base(&mut self, name: &Text, base: &Node, text: &Text) -> Option<(Map, Option<Resolved>)> {
        if let Some(at) = self.open.iter().position(|open| open == text) {
            let mut circle: Vec<&str> = self.open[at..].iter().map(|name| &**name).collect();
            circle.push(text);
            let message = format!(
                "{name}: circular dependency detected in `extends`: {}",
                circle.join(" → ")
            );
            self.session.error(&code::GITLAB_EXTENDS, base.span, message);
            return None;
        }
        let Some((_, body)) = self.root.entry(text) else {
            let message = format!("{name}: unknown keys in `extends` ({text})");
            let known = self.root.iter().filter_map(|(key, _)| key.text().map(|text| &**text));
            let problem = Problem::new(&code::GITLAB_EXTENDS, base.span, message)
                .hint("no job or hidden job has this name in this file or the files it includes")
                .suggest(text, known.filter(|known| *known != &**name));
            self.session.report(problem);
            return None;
        };
        let Some(map) = body.as_map() else {
            let what = body.value(SCHEMA).describe();
            let message = format!("{name}: invalid base hashes in `extends` ({text}): it is {what}, not a map");
            self.session.error(&code::GITLAB_EXTENDS, base.span, message);
            return None;
        };
        if map.get("extends").is_none() {
            return Some((map.clone(), None));
        }
        // A base that was reported is not reported again for each job that uses it.
        let resolved = self.job(text)?;
        Some((resolved.map.clone(), Some(resolved)))
    }

    /// The names in `extends`: one string, or a list of them.
    fn names(&self, name: &Text, extends: &Node) -> Option<Vec<Node>> {
        let wrong = |node: &Node| {
            let what = node.value(SCHEMA).describe();
            let message = format!("{name}: extends should be a string or an array of strings, but here is {what}");
            self.session.error(&code::GITLAB_EXTENDS, node.span, message);
            None
        };
        match extends.value(SCHEMA) {
            Value::Text(_) | Value::Symbol(_) => Some(vec![extends.clone()]),
            Value::Seq(items) => {
                let bad = items
                    .iter()
                    .find(|item| !matches!(item.value(SCHEMA), Value::Text(_) | Value::Symbol(_)));
                match bad {
                    Some(item) => wrong(item),
                    None => Some(items.to_vec()),
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Date(_)
            | Value::Map(_)
            | Value::Reference(_) => wrong(extends),
        }
    }
}
