//! `trigger`: jobs that start another pipeline.

use tasuki_model::plan::{Downstream, DownstreamTarget, ForwardVariables};

use super::check::{Check, value};
use super::json;
use crate::diag::code;
use crate::yaml::{Map, Node, Value};

const PROJECT_KEYS: &[&str] = &["project", "branch", "strategy", "forward", "inputs"];
const INCLUDE_KEYS: &[&str] = &["include", "strategy", "forward"];
const ENTRY_KEYS: &[&str] = &[
    "local",
    "file",
    "remote",
    "project",
    "ref",
    "integrity",
    "cache",
    "template",
    "artifact",
    "job",
    "inputs",
    "rules",
    "component",
];
const ENTRY_KINDS: &[&str] = &["local", "remote", "project", "template", "artifact", "component"];
const MAX_INCLUDES: usize = 3;

/// Project and branch are expanded later.
pub(super) fn trigger(check: &mut Check<'_>, node: &Node) -> Option<Downstream> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => Some(Downstream {
            target: DownstreamTarget::Project {
                path: check.filled_text(node)?,
                branch: None,
            },
            strategy: None,
            forward: ForwardVariables::default(),
            inputs: std::collections::BTreeMap::default(),
        }),
        Value::Map(map) => {
            let target = target(check, node, map)?;
            let strategies = &[("depend", "depend"), ("mirror", "mirror")];
            Some(Downstream {
                target,
                strategy: check
                    .key(map, "strategy", |check, node| check.one_of(node, strategies))
                    .map(str::to_owned),
                forward: check.key(map, "forward", forward).unwrap_or_default(),
                inputs: check.key(map, "inputs", inputs).unwrap_or_default(),
            })
        }
        _ => {
            check.wrong_type(node, "a string or a hash");
            None
        }
    }
}

fn target(check: &mut Check<'_>, node: &Node, map: &Map) -> Option<DownstreamTarget> {
    match (map.get("project"), map.get("include")) {
        (Some(project), None) => {
            check.known_keys(map, PROJECT_KEYS);
            Some(DownstreamTarget::Project {
                path: check.within("project", |check| check.filled_text(project))?,
                branch: check.key(map, "branch", Check::filled_text),
            })
        }
        (None, Some(include)) => {
            if let Some((key, _)) = map.entry("inputs") {
                let text = "config contains unknown keys: inputs";
                let problem = check.problem(&code::GITLAB_UNKNOWN_KEY, key.span, text);
                check
                    .report(problem.hint(
                        "give a child pipeline its inputs beside the file: `include: [{local: …, inputs: {…}}]`",
                    ));
            }
            check.known_keys(map, INCLUDE_KEYS);
            check.within("include", |check| child(check, include))
        }
        (Some(_), Some(_)) => {
            check.exclusive(map, &["project", "include"]);
            None
        }
        (None, None) => {
            let text = "config must specify either project or include";
            check.report(check.problem(&code::GITLAB_MISSING_KEY, node.span, text));
            None
        }
    }
}

fn child(check: &mut Check<'_>, node: &Node) -> Option<DownstreamTarget> {
    let items: Vec<&Node> = match value(node) {
        Value::Seq(_) => check.flat(node)?,
        _ => vec![node],
    };
    if items.is_empty() {
        check.bad_value(node.span, "can't be blank");
        return None;
    }
    if let Some(fourth) = items.get(MAX_INCLUDES) {
        check.bad_value(fourth.span, &format!("is too long (maximum is {MAX_INCLUDES})"));
        return None;
    }
    for item in &items {
        entry(check, item)?;
    }
    Some(DownstreamTarget::Child {
        include: json::of(node),
    })
}

fn entry(check: &mut Check<'_>, node: &Node) -> Option<()> {
    if let Value::Text(_) | Value::Symbol(_) = value(node) {
        return check.filled_text(node).map(|_| ());
    }
    let map = check.map(node, ENTRY_KEYS)?;
    match ENTRY_KINDS.iter().filter(|kind| map.get(kind).is_some()).count() {
        0 => {
            let text = format!("config must have one of the keys: {}", ENTRY_KINDS.join(", "));
            check.report(check.problem(&code::GITLAB_MISSING_KEY, node.span, &text));
        }
        1 => {}
        _ => check.exclusive(map, ENTRY_KINDS),
    }
    if map.get("artifact").is_some() {
        check.required(map, node.span, "job")?;
    }
    if map.get("project").is_some() {
        check.required(map, node.span, "file")?;
    }
    Some(())
}

fn forward(check: &mut Check<'_>, node: &Node) -> Option<ForwardVariables> {
    let map = check.map(node, &["yaml_variables", "pipeline_variables"])?;
    let default = ForwardVariables::default();
    Some(ForwardVariables {
        yaml: check.key(map, "yaml_variables", Check::boolean).unwrap_or(default.yaml),
        pipeline: check
            .key(map, "pipeline_variables", Check::boolean)
            .unwrap_or(default.pipeline),
    })
}

fn inputs(check: &mut Check<'_>, node: &Node) -> Option<std::collections::BTreeMap<String, serde_json::Value>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash");
        return None;
    };
    Some(
        map.iter()
            .filter_map(|(key, inner)| Some((key.text()?.to_string(), json::of(inner))))
            .collect(),
    )
}
