//! `extends`.

use foldhash::{HashMap, HashMapExt as _};

use super::{SCHEMA, merge};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, MapBuilder, Node, Text, Value};

/// Resolves every `extends` of the merged configuration. What cannot be resolved is reported and left as it is. The
/// key itself stays, without effect.
///
/// `None`: the jobs would copy more from their bases than a configuration may hold.
pub(super) fn resolve(session: &Session<'_>, root: Map) -> Option<Map> {
    let extending = |(_, body): &(Node, Node)| body.get("extends").is_some();
    if !root.iter().any(extending) {
        return Some(root);
    }
    let mut resolver = Resolver {
        session,
        root: &root,
        done: HashMap::new(),
        open: Vec::new(),
        copied: 0,
        stopped: false,
    };
    let mut entries = Vec::with_capacity(root.len());
    for (key, body) in root.iter() {
        let done = key.text().and_then(|name| resolver.job(name, body));
        let body = done.map_or_else(|| body.clone(), |done| Node::map_of(done.map, body.span));
        entries.push((key.clone(), body));
        if resolver.stopped {
            return None;
        }
    }
    Some(Map::from_unique(entries))
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
    /// Entries that were copied into jobs.
    copied: usize,
    /// Too many were.
    stopped: bool,
}

impl Resolver<'_, '_, '_> {
    /// A job with everything that it extends. `None`: it does not extend, or was reported.
    fn job(&mut self, name: &Text, body: &Node) -> Option<Resolved> {
        let map = body.as_map()?;
        let extends = map.get("extends").filter(|_| !self.stopped)?;
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        if self.open.len() > self.session.input.context.limits.extends {
            self.too_deep(self.open.first().unwrap_or(name), extends);
            return None;
        }
        self.open.push(name.clone());
        let resolved = self.extend(name, map, extends);
        self.open.pop();
        resolved
    }

    fn extend(&mut self, name: &Text, map: &Map, extends: &Node) -> Option<Resolved> {
        let mut merged: Option<MapBuilder> = None;
        let mut level = 1;
        for base in self.names(name, extends)? {
            let found = self.base(name, base, base.text()?)?;
            level = level.max(found.level + 1);
            match &mut merged {
                None => merged = Some(MapBuilder::from_map(&found.map, map.len())),
                Some(merged) => merge::lay_over(merged, &found.map),
            }
        }
        if level > self.session.input.context.limits.extends + 1 {
            self.too_deep(name, extends);
            return None;
        }
        let mut merged = merged.unwrap_or_default();
        merge::lay_over(&mut merged, map);
        let merged = merged.finish();
        // What a job inherits is shared but for the maps that it is merged into.
        let copied = merged
            .iter()
            .map(|(_, value)| value.as_map().map_or(1, |map| map.len() + 1));
        self.copied = self.copied.saturating_add(copied.sum());
        if self.copied > self.session.input.context.limits.yaml.nodes as usize {
            if !self.stopped {
                let message = "the configuration is too big once `extends` is resolved";
                self.session.error(&code::YAML_TOO_BIG, extends.span, message);
            }
            self.stopped = true;
        }
        Some(Resolved { map: merged, level })
    }

    fn too_deep(&self, name: &str, extends: &Node) {
        let limit = self.session.input.context.limits.extends;
        let message = format!("{name}: nesting too deep in `extends`: at most {limit} generations are allowed");
        self.session.error(&code::GITLAB_EXTENDS, extends.span, message);
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
            let mut problem = Problem::new(&code::GITLAB_EXTENDS, base.span, message)
                .hint("no job or hidden job has this name in this file or the files it includes");
            if self.session.may_suggest() {
                let known = self.root.iter().filter_map(|(key, _)| key.text().map(|text| &**text));
                problem = problem.suggest(text, known.filter(|known| *known != &**name));
            }
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
