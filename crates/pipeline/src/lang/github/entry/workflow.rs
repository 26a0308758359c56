//! The root of a workflow file.

use std::collections::BTreeMap;

use tasuki_model::expr::syntax::Names;

use super::super::fields::{self, Entry, Field, Wanted};
use super::super::names;
use super::super::on::{self, On};
use super::super::read::value;
use super::job::{self, Job};
use super::permissions;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Span, Value};

const KEYS: &[&str] = &[
    "name",
    "run-name",
    "description",
    "on",
    "env",
    "defaults",
    "permissions",
    "concurrency",
    "jobs",
];

/// A workflow file.
#[derive(Debug, Clone)]
pub(crate) struct Workflow {
    pub(crate) file: String,
    pub(crate) name: Option<String>,
    pub(crate) run_name: Option<Field>,
    pub(crate) on: On,
    pub(crate) env: Vec<Entry>,
    pub(crate) defaults: Defaults,
    pub(crate) permissions: Option<BTreeMap<String, String>>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) jobs: Vec<Job>,
}

/// `defaults.run`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    pub(crate) shell: Option<Field>,
    pub(crate) directory: Option<Field>,
}

/// `concurrency`.
#[derive(Debug, Clone)]
pub(crate) struct Concurrency {
    pub(crate) group: Field,
    pub(crate) cancel: Option<Field>,
    pub(crate) queue: Queue,
}

/// How many may wait for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Single,
    Max,
}

/// Reads a workflow; `None` where it has no shape at all.
pub(crate) fn parse(session: &Session<'_>, file: &str, node: &Node) -> Option<Workflow> {
    let Some(root) = node.as_map() else {
        session.error(
            &code::GITHUB_FORMAT,
            node.span,
            "a workflow is a map with at least `on` and `jobs`",
        );
        return None;
    };
    fields::keyed(session, node, &"a workflow", KEYS);
    for key in ["on", "jobs"] {
        if root.get(key).is_none() {
            let text = format!("the workflow has no `{key}`");
            session.report(
                Problem::new(&code::GITHUB_FORMAT, start(node.span), text).hint(if key == "on" {
                    "say what starts it, for example `on: push`"
                } else {
                    "write its jobs below `jobs:`, each with `runs-on` and `steps`"
                }),
            );
        }
    }
    if let Some(text) = root.get("description") {
        fields::plain(session, text, &"`description`");
    }
    Some(Workflow {
        file: file.to_owned(),
        name: root
            .get("name")
            .and_then(|node| fields::plain(session, node, &"`name`"))
            .map(str::to_owned),
        run_name: root
            .get("run-name")
            .and_then(|node| fields::field(session, node, &"`run-name`", Wanted::Text, &names::WORKFLOW)),
        on: root.get("on").map(|node| on::parse(session, node)).unwrap_or_default(),
        env: root
            .get("env")
            .map(|node| fields::entries(session, node, &"`env`", &names::WORKFLOW_ENV))
            .unwrap_or_default(),
        defaults: root
            .get("defaults")
            .map(|node| defaults(session, node, &names::WORKFLOW))
            .unwrap_or_default(),
        permissions: root.get("permissions").map(|node| permissions::parse(session, node)),
        concurrency: root
            .get("concurrency")
            .and_then(|node| concurrency(session, node, &names::WORKFLOW)),
        jobs: root
            .get("jobs")
            .map(|node| job::parse_all(session, node))
            .unwrap_or_default(),
    })
}

fn start(span: Span) -> Span {
    Span { length: 1, ..span }
}

/// Reads `defaults`.
pub(super) fn defaults(session: &Session<'_>, node: &Node, names: &Names<'_>) -> Defaults {
    let run = fields::keyed(session, node, &"`defaults`", &["run"]).and_then(|map| map.get("run"));
    let Some(run) = run.and_then(|run| fields::keyed(session, run, &"`defaults.run`", &["shell", "working-directory"]))
    else {
        return Defaults::default();
    };
    let text = |key: &str| fields::field(session, run.get(key)?, &format_args!("`{key}`"), Wanted::Text, names);
    Defaults {
        shell: text("shell"),
        directory: text("working-directory"),
    }
}

/// Reads `concurrency`.
pub(super) fn concurrency(session: &Session<'_>, node: &Node, names: &Names<'_>) -> Option<Concurrency> {
    if !matches!(value(node), Value::Map(_)) {
        let group = fields::field(session, node, &"`concurrency`", Wanted::Text, names)?;
        return Some(Concurrency {
            group,
            cancel: None,
            queue: Queue::Single,
        });
    }
    let map = fields::keyed(
        session,
        node,
        &"`concurrency`",
        &["group", "cancel-in-progress", "queue"],
    )?;
    let Some(group) = map.get("group") else {
        session.error(&code::GITHUB_FORMAT, node.span, "`concurrency` has no `group`");
        return None;
    };
    let queue = map.get("queue").and_then(|node| {
        let word = fields::plain(session, node, &"`queue`")?;
        if !matches!(word, "single" | "max") {
            session.error(
                &code::GITHUB_VALUE,
                node.span,
                format!("`queue` is single or max, not `{word}`"),
            );
        }
        Some(if word == "max" { Queue::Max } else { Queue::Single })
    });
    Some(Concurrency {
        group: fields::field(session, group, &"`group`", Wanted::Text, names)?,
        cancel: map
            .get("cancel-in-progress")
            .and_then(|node| fields::field(session, node, &"`cancel-in-progress`", Wanted::Bool, names)),
        queue: queue.unwrap_or(Queue::Single),
    })
}
