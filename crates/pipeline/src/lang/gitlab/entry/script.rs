//! `script`, `before_script`, `after_script`, `hooks`, `run`.

use std::sync::Arc;

use super::check::{Check, every, value};
use crate::diag::code;
use crate::yaml::{Node, Value};

/// The lines of a script.
pub(crate) type Lines = Arc<[String]>;

const SHAPE: &str = "a string or a nested array of strings up to 10 levels deep";

/// A script as written: a string is one line (of possibly many rows).
pub(super) fn script(check: &mut Check<'_>, node: &Node) -> Option<Lines> {
    let items = match value(node) {
        Value::Text(_) | Value::Symbol(_) => vec![node],
        Value::Seq(_) => check.flat(node)?,
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::Map(_)
        | Value::Reference(_) => {
            check.wrong_type(node, SHAPE);
            return None;
        }
    };
    every(items.into_iter().map(|item| line(check, item))).map(Lines::from)
}

fn line(check: &mut Check<'_>, node: &Node) -> Option<String> {
    if let Value::Text(text) | Value::Symbol(text) = value(node) {
        return Some(text.to_owned());
    }
    let text = format!("config should be {SHAPE}; here is {}", value(node).describe());
    let problem = check.problem(&code::GITLAB_TYPE, node.span, &text);
    check.report(match value(node) {
        Value::Map(map) => {
            let key = map.first().and_then(|(key, _)| key.text()).map_or("", |t| t);
            problem.hint(format!(
                "`{key}: …` is read as a map: put the whole line in quotes, or after `- |`"
            ))
        }
        other => match other.to_text() {
            Some(text) if !text.is_empty() => problem.hint(format!("put it in quotes: `\"{text}\"`")),
            _ => problem,
        },
    });
    None
}

/// A script that must have something in it.
pub(super) fn filled_script(check: &mut Check<'_>, node: &Node) -> Option<Lines> {
    let blank = match value(node) {
        Value::Null => true,
        Value::Text(text) => text.trim().is_empty(),
        Value::Seq(items) => items.is_empty(),
        _ => false,
    };
    if blank {
        check.bad_value(node.span, "script can't be blank");
        return None;
    }
    script(check, node)
}

/// `hooks:pre_get_sources_script`.
pub(super) fn hooks(check: &mut Check<'_>, node: &Node) -> Option<Lines> {
    let map = check.map(node, &["pre_get_sources_script"])?;
    check.key(map, "pre_get_sources_script", script)
}

/// `run`: steps that are passed on as they are. Returns them as JSON.
pub(super) fn run(check: &mut Check<'_>, node: &Node) -> Option<Vec<(String, serde_json::Value)>> {
    let Value::Seq(items) = value(node) else {
        check.wrong_type(node, "an array of steps");
        return None;
    };
    every(items.iter().map(|item| step(check, item)))
}

fn step(check: &mut Check<'_>, node: &Node) -> Option<(String, serde_json::Value)> {
    let map = check.map(node, &["name", "script", "step", "func", "env", "inputs"])?;
    let name = check.required(map, node.span, "name")?;
    let name = check.within("name", |check| identifier(check, name))?;
    check.exclusive(map, &["script", "step", "func"]);
    if map.get("script").is_none() && map.get("step").is_none() && map.get("func").is_none() {
        check.bad_value(node.span, "needs one of the keys: script, step, func");
        return None;
    }
    if let (Some(_), Some((key, _))) = (map.get("script"), map.entry("inputs")) {
        check.bad_value(
            key.span,
            "has `inputs` beside `script`: only steps and functions take them",
        );
    }
    check.key(map, "script", Check::filled_text);
    for key in ["step", "func"] {
        check.key(map, key, reference);
    }
    for (key, read) in [
        ("env", string as fn(&mut Check<'_>, &Node) -> Option<()>),
        ("inputs", anything),
    ] {
        check.key(map, key, |check, node| {
            let Value::Map(entries) = value(node) else {
                check.wrong_type(node, "a map");
                return None;
            };
            for (name, node) in entries.iter() {
                identifier(check, name);
                read(check, node);
            }
            Some(())
        });
    }
    Some((name, super::json::of(node)))
}

/// Where a step or function is: a text, or a map of a git repository or of an image.
fn reference(check: &mut Check<'_>, node: &Node) -> Option<()> {
    if let Value::Text(_) | Value::Symbol(_) = value(node) {
        return Some(());
    }
    let map = check.map(node, &["git", "oci"])?;
    check.exclusive(map, &["git", "oci"]);
    let (key, known, needed): (_, &[&str], &[&str]) = match map.get("git") {
        Some(_) => ("git", &["url", "rev", "dir", "file"], &["url", "rev"]),
        None => (
            "oci",
            &["registry", "repository", "tag", "dir", "file"],
            &["registry", "repository", "tag"],
        ),
    };
    let place = check.required(map, node.span, key)?;
    check.within(key, |check| {
        let map = check.map(place, known)?;
        for key in needed {
            check.required(map, place.span, key);
        }
        for key in known {
            check.key(map, key, string);
        }
        Some(())
    })
}

/// A name of steps: a letter or `_`, then letters, digits and `_`.
fn identifier(check: &mut Check<'_>, node: &Node) -> Option<String> {
    let name = check.filled_text(node)?;
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !good {
        check.bad_value(
            node.span,
            &format!("`{name}` can have only letters, digits and `_`, no digit first"),
        );
        return None;
    }
    Some(name)
}

fn string(check: &mut Check<'_>, node: &Node) -> Option<()> {
    check.text(node).map(drop)
}

fn anything(_: &mut Check<'_>, _: &Node) -> Option<()> {
    Some(())
}
