//! `extends`.

use foldhash::{HashMap, HashMapExt as _};

use super::{SCHEMA, merge};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, MapBuilder, Node, Text, Value};

/// Resolves every `extends` of the merged configuration. What cannot be resolved is reported and left as it is. The
/// key itself stays, without effect.
pub(super) fn resolve(session: &Session<'_>, root: Map) -> Map {
    let extending = |(_, body): &(Node, Node)| body.get("extends").is_some();
    if !root.iter().any(extending) {
        return root;
    }
    let mut resolver = Resolver {
        session,
        root: &root,
        done: HashMap::new(),
        open: Vec::new(),
    };
    let resolved = root.iter().map(|(key, body)| {
        let done = key.text().and_then(|name| resolver.job(name, body));
        let body = done.map_or_else(|| body.clone(), |done| Node::map_of(done.map, body.span));
        (key.clone(), body)
    });
    Map::from_unique(resolved.collect())
}

#[derive(Clone)]
struct Resolved {
    map: Map,
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
    /// A job with everything that it extends. `None`: it does not extend, or was reported.
    fn job(&mut self, name: &Text, body: &Node) -> Option<Resolved> {
        let map = body.as_map()?;
        let extends = map.get("extends")?;
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        self.open.push(name.clone());
        let resolved = self.extend(name, map, extends);
        self.open.pop();
        resolved
    }

    fn extend(&mut self, name: &Text, map: &Map, extends: &Node) -> Option<Resolved> {
        let mut merged: Option<MapBuilder> = None;
        let mut level = 0;
        for base in self.names(name, extends)? {
            let found = self.base(name, base, base.text()?)?;
            level = level.max(found.level);
            match &mut merged {
                None => merged = Some(MapBuilder::from_map(&found.map, map.len())),
                Some(merged) => merge::lay_over(merged, &found.map),
            }
        }
        let mut merged = merged.unwrap_or_default();
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
            level,
        })
    }

    /// One base with all that it extends itself.
    fn base(&mut self, name: &Text, base: &Node, text: &Text) -> Option<Resolved> {
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
            return Some(Resolved {
                map: map.clone(),
                level: 0,
            });
        }
        // Kept only for bases: most jobs are nobody's. One that was reported is not reported again for each user.
        let resolved = self.job(text, body);
        self.done.insert(text.clone(), resolved.clone());
        resolved
    }

    /// The names in `extends`: one string, or a list of them.
    fn names<'n>(&self, name: &Text, extends: &'n Node) -> Option<&'n [Node]> {
        let wrong = |node: &Node| {
            let what = node.value(SCHEMA).describe();
            let message = format!("{name}: extends should be a string or an array of strings, but here is {what}");
            self.session.error(&code::GITLAB_EXTENDS, node.span, message);
            None
        };
        match extends.value(SCHEMA) {
            Value::Text(_) | Value::Symbol(_) => Some(std::slice::from_ref(extends)),
            Value::Seq(items) => {
                let bad = items
                    .iter()
                    .find(|item| !matches!(item.value(SCHEMA), Value::Text(_) | Value::Symbol(_)));
                match bad {
                    Some(item) => wrong(item),
                    None => Some(items),
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
