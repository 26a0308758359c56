//! One entry of `include`, as written.

use super::SCHEMA;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node, Text, Value};

/// Keys that say what is included. Exactly one per entry.
const KINDS: &[&str] = &["local", "project", "remote", "template", "component", "artifact"];

/// All keys of an entry.
const KEYS: &[&str] = &[
    "local",
    "file",
    "remote",
    "project",
    "ref",
    "integrity",
    "cache",
    "template",
    "artifact",
    "inputs",
    "job",
    "rules",
    "component",
];

/// What is included. Texts are not expanded yet.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Local(Text),
    Project {
        project: Text,
        files: Vec<Node>,
        git_ref: Option<Text>,
    },
    Remote {
        url: Text,
        integrity: Option<Node>,
    },
    Template(Text),
    Component(Text),
    Artifact {
        path: Text,
        job: Text,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) target: Target,
    /// The value that names the target: where its problems are reported.
    pub(super) at: Node,
    pub(super) inputs: Option<Map>,
    pub(super) rules: Option<Node>,
}

/// The entries of an `include`. Wrong ones are reported and left out.
pub(super) fn entries(session: &Session<'_>, include: &Node) -> Vec<Entry> {
    match include.value(SCHEMA) {
        Value::Null => Vec::new(),
        Value::Seq(items) => items.iter().filter_map(|item| entry(session, item)).collect(),
        Value::Text(_)
        | Value::Symbol(_)
        | Value::Map(_)
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Reference(_) => entry(session, include).into_iter().collect(),
    }
}

/// Whether a plain text names a URL.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn entry(session: &Session<'_>, node: &Node) -> Option<Entry> {
    match node.value(SCHEMA) {
        Value::Map(map) => from_map(session, node, map),
        Value::Text(text) | Value::Symbol(text) => Some(Entry {
            // Whether it is a URL is seen after expansion.
            target: Target::Local(Text::from(text)),
            at: node.clone(),
            inputs: None,
            rules: None,
        }),
        Value::Reference(_) => {
            let message = "!reference cannot be used in `include`: files are included before references are resolved";
            session.error(&code::GITLAB_INCLUDE, node.span, message);
            None
        }
        other => {
            let message = format!(
                "include config should be a string, a hash or an array of these, not {}",
                other.describe()
            );
            session.error(&code::GITLAB_INCLUDE, node.span, message);
            None
        }
    }
}

fn from_map(session: &Session<'_>, node: &Node, map: &Map) -> Option<Entry> {
    let errors = session.errors();
    for (key, _) in map.iter() {
        let Some(text) = key.text().filter(|text| !KEYS.contains(&&***text)) else {
            continue;
        };
        let message = format!("include config contains unknown keys: {text}");
        session.report(Problem::new(&code::GITLAB_INCLUDE, key.span, message).suggest(text, KEYS.iter().copied()));
    }
    let kinds: Vec<&(Node, Node)> = KINDS.iter().filter_map(|kind| map.entry(kind)).collect();
    let (key, at) = match kinds.as_slice() {
        [one] => one,
        [] => {
            let message = "include does not have a valid subkey for include";
            let hint = format!("exactly one of {} is needed", KINDS.join(", "));
            session.report(Problem::new(&code::GITLAB_INCLUDE, node.span, message).hint(hint));
            return None;
        }
        [_, second, ..] => {
            let message = format!("Each include must use only one of {}", KINDS.join(", "));
            session.error(&code::GITLAB_INCLUDE, second.0.span, message);
            return None;
        }
    };
    let reader = Reader { session, map };
    let target = match key.text().map_or("", |text| text) {
        "local" => reader.text("local").map(Target::Local),
        "remote" => reader.remote(),
        "template" => reader.text("template").map(Target::Template),
        "component" => reader.text("component").map(Target::Component),
        "project" => reader.project(at),
        _ => reader.artifact(at),
    };
    reader.only_with("ref", "project");
    reader.only_with("file", "project");
    reader.only_with("integrity", "remote");
    reader.only_with("cache", "remote");
    reader.only_with("job", "artifact");
    let inputs = reader.inputs();
    let rules = map
        .get("rules")
        .filter(|rules| !matches!(rules.value(SCHEMA), Value::Null))
        .cloned();
    (session.errors() == errors).then_some(())?;
    Some(Entry {
        target: target?,
        at: at.clone(),
        inputs,
        rules,
    })
}

struct Reader<'r, 's, 'a> {
    session: &'s Session<'a>,
    map: &'r Map,
}

impl Reader<'_, '_, '_> {
    fn text(&self, key: &str) -> Option<Text> {
        let node = self.map.get(key)?;
        match node.value(SCHEMA) {
            Value::Text(text) | Value::Symbol(text) if !text.trim().is_empty() => Some(Text::from(text)),
            other => {
                let what = if other.to_text().is_some_and(|text| text.trim().is_empty()) {
                    "empty"
                } else {
                    other.describe()
                };
                let message = format!("include:{key} should be a string, but it is {what}");
                self.session.error(&code::GITLAB_INCLUDE, node.span, message);
                None
            }
        }
    }

    fn project(&self, at: &Node) -> Option<Target> {
        let project = self.text("project")?;
        let git_ref = self.map.get("ref").map(|_| self.text("ref"));
        let Some(file) = self.map.get("file") else {
            let message = "include:project needs `file`: a path or a list of paths in that project";
            self.session.error(&code::GITLAB_INCLUDE, at.span, message);
            return None;
        };
        let files = match file.value(SCHEMA) {
            Value::Text(_) | Value::Symbol(_) => vec![file.clone()],
            Value::Seq(items) => items.to_vec(),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Date(_)
            | Value::Map(_)
            | Value::Reference(_) => Vec::new(),
        };
        let good = |file: &Node| matches!(file.value(SCHEMA), Value::Text(_) | Value::Symbol(_));
        if files.is_empty() || !files.iter().all(good) {
            let message = "include:file should be a string or an array of strings";
            self.session.error(&code::GITLAB_INCLUDE, file.span, message);
            return None;
        }
        let git_ref = match git_ref {
            None => None,
            Some(given) => Some(given?),
        };
        Some(Target::Project {
            project,
            files,
            git_ref,
        })
    }

    fn artifact(&self, at: &Node) -> Option<Target> {
        if self.map.get("job").is_none() {
            let message = "include:artifact needs `job`: the job of the parent pipeline that left the file";
            self.session.error(&code::GITLAB_INCLUDE, at.span, message);
            return None;
        }
        Some(Target::Artifact {
            path: self.text("artifact")?,
            job: self.text("job")?,
        })
    }

    fn remote(&self) -> Option<Target> {
        if let Some(cache) = self.map.get("cache") {
            let good = match cache.value(SCHEMA) {
                Value::Bool(_) => true,
                Value::Text(text) => crate::lang::gitlab::duration::parse(text).is_some_and(|seconds| seconds >= 60),
                Value::Null
                | Value::Int(_)
                | Value::Float(_)
                | Value::Symbol(_)
                | Value::Date(_)
                | Value::Map(_)
                | Value::Seq(_)
                | Value::Reference(_) => false,
            };
            if !good {
                let message = "include:cache should be a boolean or a duration of at least 1 minute";
                self.session.error(&code::GITLAB_INCLUDE, cache.span, message);
            }
        }
        Some(Target::Remote {
            url: self.text("remote")?,
            integrity: self.map.get("integrity").cloned(),
        })
    }

    fn inputs(&self) -> Option<Map> {
        let node = self.map.get("inputs")?;
        match node.value(SCHEMA) {
            Value::Map(map) => Some(map.clone()),
            Value::Null => None,
            other => {
                let message = format!("include:inputs should be a hash, not {}", other.describe());
                self.session.error(&code::GITLAB_INCLUDE, node.span, message);
                None
            }
        }
    }

    fn only_with(&self, key: &str, kind: &str) {
        if let Some((name, _)) = self.map.entry(key).filter(|_| self.map.get(kind).is_none()) {
            let message = format!("include:{key} can only be used together with `{kind}`");
            self.session.error(&code::GITLAB_INCLUDE, name.span, message);
        }
    }
}
