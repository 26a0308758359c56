//! The stages of a configuration.

use std::collections::HashSet;

use super::SCHEMA;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node, Text, Value};

/// The stages where `stages` is not given.
const DEFAULT_STAGES: &[&str] = &["build", "test", "deploy"];

/// Lists in lists are flattened down to this depth.
const NESTING: usize = 10;

/// The given names or the default ones, between `.pre` and `.post`, which keep their places wherever they are named.
pub(super) fn stages(session: &Session<'_>, root: &Map) -> Vec<Text> {
    let mut given = Vec::new();
    match root.get("stages") {
        None => given.extend(DEFAULT_STAGES.iter().map(|name| Text::from(*name))),
        Some(node) => match node.value(SCHEMA) {
            Value::Null => given.extend(DEFAULT_STAGES.iter().map(|name| Text::from(*name))),
            Value::Seq(_) => collect(session, node, 0, &mut given),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Symbol(_)
            | Value::Date(_)
            | Value::Map(_)
            | Value::Reference(_) => wrong(session, node),
        },
    }
    let mut seen: HashSet<Text> = [".pre", ".post"].map(Text::from).into_iter().collect();
    let mut stages = vec![Text::from(".pre")];
    stages.extend(given.into_iter().filter(|stage| seen.insert(stage.clone())));
    stages.push(Text::from(".post"));
    stages
}

fn collect(session: &Session<'_>, node: &Node, depth: usize, out: &mut Vec<Text>) {
    match node.value(SCHEMA) {
        Value::Text(text) | Value::Symbol(text) => out.push(Text::from(text)),
        Value::Seq(items) if depth < NESTING => {
            items.iter().for_each(|item| collect(session, item, depth + 1, out));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Map(_)
        | Value::Seq(_)
        | Value::Reference(_) => wrong(session, node),
    }
}

fn wrong(session: &Session<'_>, node: &Node) {
    let what = node.value(SCHEMA).describe();
    let message = format!("stages config should be an array of strings, but here is {what}");
    session.report(Problem::new(&code::GITLAB_STAGES, node.span, message));
}
