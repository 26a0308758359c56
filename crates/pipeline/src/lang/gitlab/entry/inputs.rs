//! `inputs` of a job: values that `${{ job.inputs.name }}` stands for in what the job runs.
//!
//! They are fixed when the pipeline is made: each has its default.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::build::Build;
use super::check::{Check, every, value};
use super::script::Lines;
use crate::diag::code;
use crate::yaml::{Map, Node, Value};

/// The value of an input.
pub(super) struct JobInput {
    name: String,
    value: String,
}

const KEYS: &[&str] = &["type", "default", "description", "options", "regex"];
const TYPES: &[(&str, &str)] = &[
    ("string", "string"),
    ("number", "number"),
    ("boolean", "boolean"),
    ("array", "array"),
];
const MOST: usize = 50;
const OPEN: &str = "${{";
const CLOSE: &str = "}}";

pub(super) fn inputs(check: &mut Check<'_>, node: &Node) -> Option<Vec<JobInput>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash");
        return None;
    };
    if map.len() > MOST {
        check.bad_value(node.span, &format!("has too many inputs (maximum is {MOST})"));
        return None;
    }
    every(map.iter().map(|(key, node)| {
        let name = key.text()?;
        check.within(name, |check| input(check, name, node))
    }))
}

fn input(check: &mut Check<'_>, name: &str, node: &Node) -> Option<JobInput> {
    let map = check.map(node, KEYS)?;
    let kind = match map.get("type") {
        None => "string",
        Some(_) => check.key(map, "type", |check, node| check.one_of(node, TYPES))?,
    };
    check.key(map, "description", Check::text);
    let default = check.required(map, node.span, "default")?;
    if !is_of_type(kind, default) {
        let text = format!("default should be of type {kind}, not {}", value(default).describe());
        check.report(check.problem(&code::GITLAB_TYPE, default.span, &text));
        return None;
    }
    is_allowed(check, map, default)?;
    Some(JobInput {
        name: name.to_owned(),
        value: text_of(default),
    })
}

fn is_of_type(kind: &str, default: &Node) -> bool {
    match value(default) {
        Value::Text(_) | Value::Symbol(_) | Value::Date(_) => kind == "string",
        // A scalar that is to be a string is taken as it is written.
        Value::Int(_) | Value::Float(_) => matches!(kind, "number" | "string"),
        Value::Bool(_) => matches!(kind, "boolean" | "string"),
        Value::Seq(_) => kind == "array",
        Value::Null | Value::Map(_) | Value::Reference(_) => false,
    }
}

/// The default must be one of `options` and match `regex`.
fn is_allowed(check: &mut Check<'_>, map: &Map, default: &Node) -> Option<()> {
    let own = text_of(default);
    if let Some(options) = map.get("options") {
        let Value::Seq(items) = value(options) else {
            check.within("options", |check| check.wrong_type(options, "an array"));
            return None;
        };
        if !items.iter().any(|item| text_of(item) == own) {
            let text = format!("default `{own}` is not in the list of allowed options");
            check.report(check.problem(&code::GITLAB_VALUE, default.span, &text));
            return None;
        }
    }
    if let Some(pattern) = check.key(map, "regex", Check::filled_text) {
        match regex::Regex::new(&pattern) {
            Ok(regex) if regex.is_match(&own) => {}
            Ok(_) => {
                let text = format!("default `{own}` does not match the required RE2 pattern `{pattern}`");
                check.report(check.problem(&code::GITLAB_VALUE, default.span, &text));
                return None;
            }
            Err(_) => {
                let text = "regex should be a valid RE2 expression without slashes";
                check.report(check.problem(&code::GITLAB_VALUE, default.span, text));
                return None;
            }
        }
    }
    Some(())
}

/// As it stands in a text: lists as JSON.
fn text_of(node: &Node) -> String {
    match value(node).to_text() {
        Some(text) => text.into_owned(),
        None => super::json::of(node).to_string(),
    }
}

/// Puts the values where the job mentions them; what it mentions but does not declare is reported at `node`.
pub(super) fn fill(check: &Check<'_>, node: &Node, build: &mut Build, inputs: &[JobInput]) {
    let mut filling = Filling {
        inputs,
        unknown: BTreeSet::new(),
    };
    for lines in [
        &mut build.before_script,
        &mut build.script,
        &mut build.after_script,
        &mut build.hooks,
    ] {
        filling.lines(lines);
    }
    filling.value(&mut build.image);
    filling.value(&mut build.services);
    filling.value(&mut build.caches);
    filling.value(&mut build.artifacts);
    let known = || inputs.iter().map(|input| input.name.as_str());
    for name in &filling.unknown {
        let text = format!("config has no input `{name}`, which the job refers to");
        let problem = check.problem(&code::GITLAB_INPUT, node.span, &text);
        check.report(problem.suggest(name, known()));
    }
}

struct Filling<'i> {
    inputs: &'i [JobInput],
    /// Names that are mentioned and not declared.
    unknown: BTreeSet<String>,
}

impl Filling<'_> {
    fn lines(&mut self, lines: &mut Option<Lines>) {
        if let Some(lines) = lines {
            let filled: Vec<String> = lines.iter().map(|line| self.replaced(line).into_owned()).collect();
            *lines = Arc::from(filled);
        }
    }

    /// The same in every text of a structure.
    fn value<T: Serialize + DeserializeOwned>(&mut self, whole: &mut T) {
        let Ok(mut json) = serde_json::to_value(&*whole) else {
            return;
        };
        self.walk(&mut json);
        if let Ok(filled) = serde_json::from_value(json) {
            *whole = filled;
        }
    }

    fn walk(&mut self, json: &mut serde_json::Value) {
        match json {
            serde_json::Value::String(text) => {
                if let Cow::Owned(new) = self.replaced(text) {
                    *text = new;
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|item| self.walk(item)),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
        }
    }

    /// Replaces `${{ job.inputs.name }}`; other blocks are not ours.
    fn replaced<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(OPEN) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            let (before, block) = rest.split_at(at);
            out.push_str(before);
            let Some(end) = block.find(CLOSE) else {
                rest = block;
                break;
            };
            let (whole, after) = block.split_at(end + CLOSE.len());
            let name = whole[OPEN.len()..end].trim().strip_prefix("job.inputs.");
            let input = name.and_then(|name| self.inputs.iter().find(|input| input.name == name));
            match (name, input) {
                (_, Some(input)) => out.push_str(&input.value),
                (Some(name), None) => {
                    self.unknown.insert(name.to_owned());
                    out.push_str(whole);
                }
                (None, None) => out.push_str(whole),
            }
            rest = after;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_replaced_where_they_name_an_input() {
        let inputs = [
            JobInput {
                name: "env".to_owned(),
                value: "staging".to_owned(),
            },
            JobInput {
                name: "n".to_owned(),
                value: "3".to_owned(),
            },
        ];
        for (text, expected) in [
            ("plain", "plain"),
            ("a ${{ job.inputs.env }} b ${{job.inputs.n}}", "a staging b 3"),
            (
                "${{ job.inputs.other }} ${{ github.ref }}",
                "${{ job.inputs.other }} ${{ github.ref }}",
            ),
            ("open ${{ job.inputs.env", "open ${{ job.inputs.env"),
        ] {
            let mut filling = Filling {
                inputs: &inputs,
                unknown: BTreeSet::new(),
            };
            assert_eq!(filling.replaced(text), expected, "{text}");
            assert_eq!(filling.unknown.contains("other"), text.contains("other"), "{text}");
        }
    }
}
