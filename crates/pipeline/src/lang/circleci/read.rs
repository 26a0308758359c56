//! Reading values, with a finding where they are not what they should be.
//!
//! In elements that are only checked arguments are unknown; such a value ([`is_unknown`]) is whatever it should be.

use std::fmt::Display;

use crate::diag::{Problem, code, reshaped};
use crate::yaml::{Kind, Map, Node, Schema, Seq, Span, Style, Tag, Text, Value};

use super::compiler::Compiler;

/// CircleCI reads YAML 1.1.
pub(super) const SCHEMA: Schema = Schema::Yaml11;

/// Stands in the text of a value that is not known. No file can hold it.
const UNKNOWN: char = '\u{0}';

/// A value that is not known.
pub(super) fn unknown(span: Span) -> Node {
    Node::new(Kind::Scalar(UNKNOWN.to_string().into(), Style::Quoted), span)
}

pub(super) fn is_unknown(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains(UNKNOWN))
}

/// What a value is, for messages.
pub(super) fn kind(node: &Node) -> &'static str {
    match node.value(SCHEMA) {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Text(_) | Value::Symbol(_) | Value::Date(_) => "a string",
        Value::Map(_) => "a map",
        Value::Seq(_) | Value::Reference(_) => "a list",
    }
}

pub(super) fn is_null(node: &Node) -> bool {
    const LONGEST: usize = "null".len();
    let may_be = match &node.kind {
        Kind::Scalar(text, _) => text.len() <= LONGEST || node.tag != Tag::None,
        Kind::Map(_) | Kind::Seq(_) => false,
    };
    may_be && matches!(node.value(SCHEMA), Value::Null)
}

/// A scalar as text; booleans in one spelling, nothing as the empty text.
pub(super) fn scalar(node: &Node) -> Option<Text> {
    match node.value(SCHEMA) {
        Value::Null => Some("".into()),
        Value::Bool(flag) => Some(if flag { "true" } else { "false" }.into()),
        Value::Map(_) | Value::Seq(_) | Value::Reference(_) => None,
        Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Symbol(_) | Value::Date(_) => node.text().cloned(),
    }
}

impl Compiler<'_, '_> {
    pub(super) fn wrong_type(&self, node: &Node, what: impl Display, expected: &str) {
        let message = format!("{what} must be {expected}, not {}", kind(node));
        let mut problem = Problem::new(&code::CIRCLECI_TYPE, node.span, message);
        problem.hint = reshaped(node, expected);
        self.report(problem);
    }

    pub(super) fn map<'n>(&self, node: &'n Node, what: impl Display) -> Option<&'n Map> {
        let map = node.as_map();
        if map.is_none() && !is_unknown(node) {
            self.wrong_type(node, what, "a map");
        }
        map
    }

    pub(super) fn seq<'n>(&self, node: &'n Node, what: impl Display) -> Option<&'n Seq> {
        let seq = node.as_seq();
        if seq.is_none() && !is_unknown(node) {
            self.wrong_type(node, what, "a list");
        }
        seq
    }

    /// A text, a number or a boolean as text.
    pub(super) fn text(&self, node: &Node, what: impl Display) -> Option<String> {
        if is_null(node) {
            self.wrong_type(node, what, "a string");
            return None;
        }
        let text = scalar(node);
        if text.is_none() {
            self.wrong_type(node, what, "a string");
        }
        text.map(|text| text.to_string())
    }

    /// One text, or a list of them.
    pub(super) fn texts(&self, node: &Node, what: impl Display) -> Vec<(String, Span)> {
        match node.as_seq() {
            Some(items) => items
                .iter()
                .filter_map(|item| Some((self.text(item, format_args!("each of {what}"))?, item.span)))
                .collect(),
            None => self
                .text(node, what)
                .map(|text| (text, node.span))
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn flag(&self, node: &Node, what: impl Display) -> Option<bool> {
        if is_unknown(node) {
            return None;
        }
        match node.value(SCHEMA) {
            Value::Bool(flag) => Some(flag),
            Value::Text("true") => Some(true),
            Value::Text("false") => Some(false),
            _ => {
                self.wrong_type(node, what, "true or false");
                None
            }
        }
    }

    pub(super) fn integer(&self, node: &Node, what: impl Display, least: i64, most: i64) -> Option<i64> {
        if is_unknown(node) {
            return None;
        }
        let number = match node.value(SCHEMA) {
            Value::Int(number) => Some(number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                let message = format!("{what} must be from {least} to {most}, not {number}");
                self.error(&code::CIRCLECI_VALUE, node.span, message);
                None
            }
            None => {
                self.wrong_type(node, what, "an integer");
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn one_of(&self, node: &Node, what: impl Display, words: &[&str]) -> Option<String> {
        let text = self.text(node, &what)?;
        if is_unknown(node) {
            return None;
        }
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let message = format!("{what} is one of {}, not `{text}`", listed(words));
        let problem = Problem::new(&code::CIRCLECI_VALUE, node.span, message);
        self.report(problem.suggest(&text, words.iter().copied()));
        None
    }

    /// Refuses keys that are not permitted.
    pub(super) fn only(&self, map: &Map, what: impl Display, permitted: &[&str]) {
        for (key, _) in map.iter() {
            let Some(text) = key.text() else {
                self.wrong_type(key, format_args!("a key of {what}"), "a string");
                continue;
            };
            if !permitted.contains(&&**text) {
                let message = format!("unknown key `{text}` in {what}; permitted are {}", listed(permitted));
                let problem = Problem::new(&code::CIRCLECI_UNKNOWN_KEY, key.span, message);
                self.report(problem.suggest(text, permitted.iter().copied()));
            }
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<'n>(&self, map: &'n Map, key: &str, what: impl Display, span: Span) -> Option<&'n Node> {
        let found = map.get(key);
        if found.is_none() {
            let message = format!("{what} lacks `{key}`");
            self.error(&code::CIRCLECI_MISSING_KEY, span, message);
        }
        found
    }

    /// A map of names to texts, also as a list of maps or of `NAME=value`.
    pub(super) fn environment(&self, node: &Node, what: impl Display) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let what = format_args!("`environment` of {what}");
        match &node.kind {
            Kind::Map(map) => self.variables(map, &what, &mut all),
            Kind::Seq(items) => {
                for item in items.iter() {
                    match (item.as_map(), item.text().and_then(|text| text.split_once('='))) {
                        (Some(map), _) => self.variables(map, &what, &mut all),
                        (None, Some((name, value))) => all.push((name.to_owned(), value.to_owned())),
                        (None, None) => self.wrong_type(item, format_args!("each of {what}"), "a map or `NAME=value`"),
                    }
                }
            }
            Kind::Scalar(..) if is_null(node) || is_unknown(node) => {}
            Kind::Scalar(..) => self.wrong_type(node, what, "a map"),
        }
        all
    }

    fn variables(&self, map: &Map, what: &dyn Display, out: &mut Vec<(String, String)>) {
        for (key, value) in map.iter() {
            let Some(name) = key.text() else {
                self.wrong_type(key, format_args!("a name in {what}"), "a string");
                continue;
            };
            match scalar(value) {
                Some(text) => out.push((name.to_string(), text.to_string())),
                None => self.wrong_type(
                    value,
                    format_args!("`{name}` in {what}"),
                    "a string, a number or a boolean",
                ),
            }
        }
    }
}

/// `a`, `b`, `c`.
pub(super) fn listed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}
