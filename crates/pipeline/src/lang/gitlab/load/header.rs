//! The header of a file: `spec`.

use regex::Regex;

use super::SCHEMA;
use crate::Session;
use crate::diag::{Code, Problem, code};
use crate::yaml::{Map, Node, Span, Text, Value};

const SPEC_KEYS: &[&str] = &["inputs", "include", "component", "description"];
const INPUT_KEYS: &[&str] = &["type", "default", "options", "regex", "description", "rules"];
const RULE_KEYS: &[&str] = &["if", "options", "default"];
/// Facts of a component that a file can ask for.
const COMPONENT_KEYS: &[&str] = &["name", "sha", "version", "reference"];

/// Most values that `options` may list.
const MOST_OPTIONS: usize = 50;

/// A header.
#[derive(Debug, Default)]
pub(super) struct Spec {
    pub(super) inputs: Vec<Input>,
    /// Entries of `spec:include`.
    pub(super) include: Vec<Node>,
    /// Which `component.*` values the file may use.
    pub(super) component: Vec<Text>,
}

/// A declared input.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) name: Text,
    pub(super) span: Span,
    pub(super) kind: Kind,
    pub(super) default: Option<Node>,
    pub(super) options: Option<Vec<Node>>,
    pub(super) regex: Option<Regex>,
    pub(super) rules: Vec<Rule>,
    pub(super) description: Option<Text>,
}

/// One of `spec:inputs:*:rules`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) condition: Option<Node>,
    pub(super) options: Option<Vec<Node>>,
    pub(super) default: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Number,
    Boolean,
    Array,
}

impl Kind {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("array", Self::Array),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("string", |(name, _)| name)
    }
}

/// Reads a header document. What is wrong is reported.
pub(super) fn parse(session: &Session<'_>, document: &Node) -> Spec {
    let Some(map) = document.as_map() else {
        session.error(
            &code::GITLAB_HEADER,
            document.span,
            "the header should be a hash with `spec`",
        );
        return Spec::default();
    };
    unknown(session, map, &["spec"], "header config", &code::GITLAB_HEADER);
    let Some(spec) = map.get("spec") else {
        return Spec::default();
    };
    let spec = match spec.value(SCHEMA) {
        Value::Null => return Spec::default(),
        Value::Map(spec) => spec,
        other => {
            let message = format!("header:spec config should be a hash, not {}", other.describe());
            session.error(&code::GITLAB_HEADER, spec.span, message);
            return Spec::default();
        }
    };
    unknown(session, spec, SPEC_KEYS, "header:spec config", &code::GITLAB_HEADER);
    if let Some(description) = spec.get("description") {
        let good = matches!(description.value(SCHEMA), Value::Text(text) if text.chars().count() <= 256);
        if !good {
            let message = "header:spec:description should be a string of at most 256 characters";
            session.error(&code::GITLAB_HEADER, description.span, message);
        }
    }
    let mut inputs = Vec::new();
    if let Some(node) = spec.get("inputs") {
        declared(session, node, &mut inputs);
    }
    let include = match spec.get("include").map(|node| (node, node.value(SCHEMA))) {
        None | Some((_, Value::Null)) => Vec::new(),
        Some((_, Value::Seq(items))) => items.to_vec(),
        Some((node, _)) => vec![node.clone()],
    };
    Spec {
        inputs,
        include,
        component: component(session, spec),
    }
}

/// Adds the inputs of a file of `spec:include`, which must hold nothing else.
pub(super) fn shared(session: &Session<'_>, document: &Node, inputs: &mut Vec<Input>) {
    let Some(map) = document.as_map() else {
        session.error(
            &code::GITLAB_HEADER,
            document.span,
            "a file of spec:include should hold just `inputs`",
        );
        return;
    };
    unknown(session, map, &["inputs"], "spec:include file", &code::GITLAB_HEADER);
    if let Some(node) = map.get("inputs") {
        declared(session, node, inputs);
    }
}

fn component(session: &Session<'_>, spec: &Map) -> Vec<Text> {
    let Some(node) = spec.get("component") else {
        return Vec::new();
    };
    let names = node
        .as_seq()
        .map(|items| items.iter().filter_map(Node::text).cloned().collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    if names.is_empty() || names.iter().any(|name| !COMPONENT_KEYS.contains(&&**name)) {
        let message = format!(
            "header:spec:component should be a list of {}",
            COMPONENT_KEYS.join(", ")
        );
        session.error(&code::GITLAB_HEADER, node.span, message);
    }
    names
}

fn declared(session: &Session<'_>, node: &Node, inputs: &mut Vec<Input>) {
    let map = match node.value(SCHEMA) {
        Value::Null => return,
        Value::Map(map) => map,
        other => {
            let message = format!("header:spec:inputs config should be a hash, not {}", other.describe());
            session.error(&code::GITLAB_HEADER, node.span, message);
            return;
        }
    };
    for (key, settings) in map.iter() {
        let Some(name) = key.text() else {
            session.error(
                &code::GITLAB_HEADER,
                key.span,
                "the name of an input should be a string",
            );
            continue;
        };
        if inputs.iter().any(|input| input.name == *name) {
            let message = format!("Duplicate input keys found: {name}");
            session.error(&code::GITLAB_HEADER, key.span, message);
            continue;
        }
        inputs.extend(input(session, name, key, settings));
    }
}

fn input(session: &Session<'_>, name: &Text, key: &Node, settings: &Node) -> Option<Input> {
    let mut input = Input {
        name: name.clone(),
        span: key.span,
        kind: Kind::String,
        default: None,
        options: None,
        regex: None,
        rules: Vec::new(),
        description: None,
    };
    let map = match settings.value(SCHEMA) {
        Value::Null => return Some(input),
        Value::Map(map) => map,
        other => {
            let message = format!(
                "header:spec:inputs:{name} config should be a hash, not {}",
                other.describe()
            );
            session.error(&code::GITLAB_HEADER, settings.span, message);
            return None;
        }
    };
    let place = format!("header:spec:inputs:{name} config");
    unknown(session, map, INPUT_KEYS, &place, &code::GITLAB_HEADER);
    let wrong = |node: &Node, what: &str| {
        session.error(
            &code::GITLAB_HEADER,
            node.span,
            format!("header:spec:inputs:{name} {what}"),
        );
    };
    if let Some(node) = map.get("type") {
        let written = node.text().map_or("", |text| text);
        match Kind::NAMES.iter().find(|(known, _)| *known == written) {
            Some((_, kind)) => input.kind = *kind,
            None => {
                let message = format!("header:spec:inputs:{name} input type unknown value: {written}");
                let known = Kind::NAMES.iter().map(|(known, _)| *known);
                let problem = Problem::new(&code::GITLAB_HEADER, node.span, message)
                    .hint("the types are string, number, boolean and array")
                    .suggest(written, known);
                session.report(problem);
            }
        }
    }
    if let Some(node) = map.get("description")
        && !matches!(node.value(SCHEMA), Value::Text(_) | Value::Int(_) | Value::Null)
    {
        wrong(node, "description should be a string");
    }
    input.description = map.get("description").and_then(Node::text).cloned();
    input.default = map.get("default").cloned();
    input.options = map.get("options").and_then(|node| options(session, node, name));
    if let Some(node) = map.get("regex") {
        match node.text().map(|text| Regex::new(text)) {
            Some(Ok(regex)) if input.kind == Kind::String => input.regex = Some(regex),
            Some(Ok(_)) => wrong(node, "regex can only be used with inputs of type string"),
            Some(Err(_)) | None => wrong(node, "regex should be a valid RE2 expression without slashes"),
        }
    }
    if let Some(node) = map.get("rules") {
        for other in ["options", "default"].iter().filter_map(|key| map.get(key)) {
            wrong(other, "rules cannot be used together with options or default");
        }
        input.rules = rules(session, node, name);
    }
    if input.options.is_some() && matches!(input.kind, Kind::Boolean) {
        wrong(
            settings,
            "options can only be used with inputs of type string, number or array",
        );
    }
    Some(input)
}

fn options(session: &Session<'_>, node: &Node, name: &str) -> Option<Vec<Node>> {
    let wrong = |what: &str| {
        session.error(
            &code::GITLAB_HEADER,
            node.span,
            format!("header:spec:inputs:{name} options {what}"),
        );
        None
    };
    let Some(items) = node.as_seq() else {
        return wrong("should be an array");
    };
    if items.len() > MOST_OPTIONS {
        return wrong(&format!("cannot define more than {MOST_OPTIONS} options"));
    }
    if items
        .iter()
        .any(|item| item.value(SCHEMA).to_text().is_none() || item.value(SCHEMA) == Value::Null)
    {
        return wrong("should be an array of strings or numbers");
    }
    Some(items.to_vec())
}

fn rules(session: &Session<'_>, node: &Node, name: &str) -> Vec<Rule> {
    let Some(items) = node.as_seq().filter(|items| !items.is_empty()) else {
        let message = format!("header:spec:inputs:{name} rules should be an array of hashes");
        session.error(&code::GITLAB_HEADER, node.span, message);
        return Vec::new();
    };
    let mut rules = Vec::new();
    for item in items.iter() {
        let Some(map) = item.as_map() else {
            let message = format!("header:spec:inputs:{name}:rules:rule should be a hash");
            session.error(&code::GITLAB_HEADER, item.span, message);
            continue;
        };
        let place = format!("header:spec:inputs:{name}:rules:rule config");
        unknown(session, map, RULE_KEYS, &place, &code::GITLAB_HEADER);
        let options = map.get("options").and_then(|node| options(session, node, name));
        let default = map.get("default").cloned();
        if let (Some(options), Some(default)) = (&options, &default)
            && !options
                .iter()
                .any(|option| option.value(SCHEMA).to_text() == default.value(SCHEMA).to_text())
        {
            let message = format!("header:spec:inputs:{name}:rules:rule default must be one of the options");
            session.error(&code::GITLAB_HEADER, default.span, message);
        }
        if options.is_none() && default.is_none() {
            let message = format!("header:spec:inputs:{name}:rules:rule must define `options` or `default`");
            session.error(&code::GITLAB_HEADER, item.span, message);
        }
        if options.is_some() && default.is_none() {
            let message = format!("header:spec:inputs:{name}:rules:rule options need a default that is one of them");
            session.error(&code::GITLAB_HEADER, item.span, message);
        }
        rules.push(Rule {
            condition: map.get("if").cloned(),
            options,
            default,
        });
    }
    rules
}

fn unknown(session: &Session<'_>, map: &Map, known: &[&str], place: &str, code: &'static Code) {
    for (key, _) in map.iter() {
        let Some(text) = key.text().filter(|text| !known.contains(&&***text)) else {
            continue;
        };
        let message = format!("{place} contains unknown keys: {text}");
        session.report(Problem::new(code, key.span, message).suggest(text, known.iter().copied()));
    }
}
