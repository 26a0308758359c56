//! `parameters:` of a file, job, command or executor.

use std::rc::Rc;

use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::check_parameter;
use crate::lang::circleci::read::{SCHEMA, is_null, kind, listed, scalar};
use crate::yaml::{Node, Span, Text, Value};

use super::interpolate::references;

/// What a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lang::circleci) enum Type {
    String,
    Boolean,
    Integer,
    Enum(Vec<Text>),
    Executor,
    Steps,
    EnvVarName,
}

impl Type {
    pub(in crate::lang::circleci) fn word(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Enum(_) => "enum",
            Self::Executor => "executor",
            Self::Steps => "steps",
            Self::EnvVarName => "env_var_name",
        }
    }
}

/// A declared parameter.
#[derive(Debug, Clone)]
pub(in crate::lang::circleci) struct Declaration {
    pub(in crate::lang::circleci) name: Text,
    pub(in crate::lang::circleci) kind: Type,
    pub(in crate::lang::circleci) default: Option<Node>,
}

const WORDS: [&str; 7] = [
    "string",
    "boolean",
    "integer",
    "enum",
    "executor",
    "steps",
    "env_var_name",
];
const KEYS: [&str; 4] = ["type", "default", "description", "enum"];
/// What an entry of a workflow says itself, so that no job's parameter can be given by that name.
const RESERVED: [&str; 6] = ["name", "requires", "context", "type", "filters", "matrix"];

/// Whose parameters they are: not every type may be declared everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lang::circleci) enum Owner {
    Pipeline,
    Job,
    Command,
    Executor,
}

impl Compiler<'_, '_> {
    /// The parameters of an element, read once.
    pub(in crate::lang::circleci) fn declarations(&self, element: &Node, owner: Owner) -> Rc<Vec<Declaration>> {
        let Some(node) = element.get("parameters") else {
            return Rc::default();
        };
        if let Some(known) = self.declared.borrow().get(&node.span) {
            return known.clone();
        }
        let read = Rc::new(declarations(self.session, node, owner));
        self.declared.borrow_mut().insert(node.span, read.clone());
        read
    }
}

/// Reads declarations.
pub(in crate::lang::circleci) fn declarations(session: &Session<'_>, node: &Node, owner: Owner) -> Vec<Declaration> {
    let Some(map) = node.as_map() else {
        if !is_null(node) {
            let message = format!("`parameters` must be a map of names, not {}", kind(node));
            session.error(&code::CIRCLECI_TYPE, node.span, message);
        }
        return Vec::new();
    };
    let mut all = Vec::with_capacity(map.len());
    for (key, value) in map.iter() {
        let Some(name) = check_parameter(session, key) else {
            continue;
        };
        if owner == Owner::Job && RESERVED.contains(&&**name) {
            let message = format!("a job's parameter cannot be named `{name}`: entries of workflows use the word");
            session.error(&code::CIRCLECI_PARAMETER, key.span, message);
        }
        all.extend(declaration(session, name, key.span, value, owner));
    }
    all
}

fn declaration(session: &Session<'_>, name: &Text, span: Span, node: &Node, owner: Owner) -> Option<Declaration> {
    let error = |span: Span, message: String| session.error(&code::CIRCLECI_PARAMETER, span, message);
    let Some(map) = node.as_map() else {
        error(node.span, format!("parameter `{name}` must be a map with `type`"));
        return None;
    };
    for (key, _) in map.iter() {
        if let Some(text) = key.text().filter(|text| !KEYS.contains(&&***text)) {
            let message = format!(
                "unknown key `{text}` in parameter `{name}`; permitted are {}",
                listed(&KEYS)
            );
            let problem = Problem::new(&code::CIRCLECI_UNKNOWN_KEY, key.span, message);
            session.report(problem.suggest(text, KEYS));
        }
    }
    let Some(word) = map.get("type") else {
        error(span, format!("parameter `{name}` has no `type`"));
        return None;
    };
    let kind = match word.text().map(|text| &**text) {
        Some("string") => Type::String,
        Some("boolean") => Type::Boolean,
        Some("integer") => Type::Integer,
        Some("enum") => Type::Enum(members(session, name, map.get("enum"), span)?),
        Some("executor") => Type::Executor,
        Some("steps") => Type::Steps,
        Some("env_var_name") => Type::EnvVarName,
        other => {
            let text = other.unwrap_or("…");
            let message = format!(
                "parameter `{name}` has the type `{text}`, which is none of {}",
                listed(&WORDS)
            );
            let problem = Problem::new(&code::CIRCLECI_PARAMETER, word.span, message);
            session.report(problem.suggest(text, WORDS));
            return None;
        }
    };
    let permitted = match owner {
        Owner::Job | Owner::Command => true,
        Owner::Pipeline => !matches!(kind, Type::Executor | Type::Steps | Type::EnvVarName),
        Owner::Executor => !matches!(kind, Type::Executor | Type::Steps | Type::EnvVarName),
    };
    if !permitted {
        let whose = if owner == Owner::Pipeline {
            "a pipeline"
        } else {
            "an executor"
        };
        error(
            word.span,
            format!("parameters of {whose} cannot be of the type {}", kind.word()),
        );
        return None;
    }
    let default = map.get("default").cloned();
    if owner == Owner::Pipeline && default.is_none() {
        error(span, format!("pipeline parameter `{name}` has no `default`"));
    }
    if let Some(default) = &default {
        check_default(session, name, &kind, default, owner);
    }
    Some(Declaration {
        name: name.clone(),
        kind,
        default,
    })
}

fn members(session: &Session<'_>, name: &str, node: Option<&Node>, span: Span) -> Option<Vec<Text>> {
    let members: Vec<Text> = node
        .and_then(Node::as_seq)
        .map(|items| items.iter().filter_map(scalar).collect())
        .unwrap_or_default();
    if members.is_empty() {
        let message = format!("parameter `{name}` is an enum and lacks `enum`, the list of its values");
        session.error(&code::CIRCLECI_PARAMETER, node.map_or(span, |node| node.span), message);
        return None;
    }
    Some(members)
}

fn check_default(session: &Session<'_>, name: &str, kind: &Type, default: &Node, owner: Owner) {
    let refers = default.text().is_some_and(|text| references(text).next().is_some());
    if owner != Owner::Pipeline && of_pipeline(default) {
        return;
    }
    if refers && *kind != Type::Steps {
        let message = format!("the default of parameter `{name}` refers to a value, which is not known there");
        session.error(&code::CIRCLECI_INTERPOLATION, default.span, message);
        return;
    }
    if let Err(expected) = fits(kind, default) {
        let message = format!("the default of parameter `{name}` must be {expected}");
        session.error(&code::CIRCLECI_PARAMETER, default.span, message);
    }
}

/// Whether a default refers to pipeline values and to nothing else: those are known wherever an element is used.
pub(super) fn of_pipeline(default: &Node) -> bool {
    let Some(text) = default.text() else { return false };
    let mut all = references(text).peekable();
    all.peek().is_some() && all.all(|found| found.path.starts_with("pipeline."))
}

/// Whether a value is of the type; else what it should be.
pub(in crate::lang::circleci) fn fits(kind: &Type, node: &Node) -> Result<(), String> {
    let good = match kind {
        Type::String => {
            let number = matches!(
                node.value(SCHEMA),
                Value::Int(_) | Value::Float(_) | Value::Date(_) | Value::Null
            );
            let text = matches!(node.value(SCHEMA), Value::Text(_) | Value::Symbol(_));
            text || number
        }
        Type::Boolean => matches!(node.value(SCHEMA), Value::Bool(_)),
        Type::Integer => matches!(node.value(SCHEMA), Value::Int(_)),
        Type::Enum(members) => {
            return match scalar(node) {
                Some(text) if members.contains(&text) => Ok(()),
                _ => {
                    let words: Vec<&str> = members.iter().map(|member| &**member).collect();
                    Err(format!("one of {}", listed(&words)))
                }
            };
        }
        Type::Executor => match node.as_map() {
            Some(map) => map.get("name").and_then(Node::text).is_some(),
            None => matches!(node.value(SCHEMA), Value::Text(_)),
        },
        Type::Steps => node.as_seq().is_some(),
        Type::EnvVarName => node.text().is_some_and(|text| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }),
    };
    if good {
        return Ok(());
    }
    Err(match kind {
        Type::String => "a string",
        Type::Boolean => "true or false",
        Type::Integer => "an integer",
        Type::Executor => "the name of an executor, or a map with `name`",
        Type::Steps => "a list of steps",
        Type::EnvVarName => "the name of an environment variable (letters, digits, `_`, no digit first)",
        Type::Enum(_) => "one of its values",
    }
    .to_owned())
}
