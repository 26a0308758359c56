//! `on` in its three forms: a name, a list of names, a map.

use super::super::Turn;
use super::super::fields::{self, Field, Wanted};
use super::super::names;
use super::super::read::value;
use super::cron;
use super::event::{self, Event};
use super::filter::Filters;
use super::inputs::{self, Giver, Input};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Span, Value};

/// What starts a workflow.
#[derive(Debug, Clone, Default)]
pub(crate) struct On {
    pub(crate) push: Option<Filters>,
    pub(crate) pull_request: Option<PullRequest>,
    pub(crate) dispatch: Option<Vec<Input>>,
    pub(crate) schedules: Vec<Turn>,
    pub(crate) call: Option<Call>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PullRequest {
    /// Empty = opened, reopened, synchronize.
    pub(crate) types: Vec<String>,
    pub(crate) filters: Filters,
}

/// What a reusable workflow takes and gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) inputs: Vec<Input>,
    pub(crate) secrets: Vec<(String, Required)>,
    pub(crate) outputs: Vec<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Required {
    Yes,
    No,
}

#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) value: Field,
}

/// Reads `on`.
pub(crate) fn parse(session: &Session<'_>, node: &Node) -> On {
    let mut on = On::default();
    match value(node) {
        Value::Text(name) => add(session, &mut on, name, node.span, None),
        Value::Seq(items) => {
            for item in items.iter() {
                if let Some(name) = fields::plain(session, item, &"an event") {
                    add(session, &mut on, name, item.span, None);
                }
            }
        }
        Value::Map(map) => {
            for (key, node) in map.iter() {
                let name = key.text().map_or("", |text| text);
                add(session, &mut on, name, key.span, Some(node));
            }
        }
        _ => fields::wrong(session, node, &"`on`", "an event, a list of events or a map of them"),
    }
    on
}

fn add(session: &Session<'_>, on: &mut On, name: &str, span: Span, node: Option<&Node>) {
    let Some(event) = event::find(session, name, span) else {
        return;
    };
    if name == "schedule" {
        on.schedules = schedule(session, span, node);
        return;
    }
    let mut known = event.keys.to_vec();
    if !event.types.is_empty() {
        known.push("types");
    }
    let what = format!("`{name}`");
    // Nobody asks what filters an event that never comes.
    let takes_nothing = known.is_empty() && node.is_some_and(|node| node.as_map().is_some());
    let nothing = |node: &Node| value(node) == Value::Null || node.as_seq().is_some_and(|items| items.is_empty());
    let map = match node {
        Some(node) if name == "workflow_dispatch" && node.as_map().is_some() => {
            unknown_of_dispatch(session, node);
            node.as_map()
        }
        Some(node) if !takes_nothing && !nothing(node) => match fields::keyed(session, node, &what, &known) {
            Some(map) => Some(map),
            None => return,
        },
        _ => None,
    };
    let types = map
        .and_then(|map| map.get("types"))
        .map(|node| event::types(session, event, node))
        .unwrap_or_default();
    let filters = map.map(|map| Filters::read(session, map)).unwrap_or_default();
    match name {
        "push" => on.push = Some(filters),
        "pull_request" => on.pull_request = Some(PullRequest { types, filters }),
        "workflow_dispatch" => {
            let inputs = map.and_then(|map| map.get("inputs"));
            on.dispatch = Some(
                inputs
                    .map(|node| inputs::parse(session, node, Giver::Person))
                    .unwrap_or_default(),
            );
        }
        "workflow_call" => on.call = Some(call(session, map)),
        _ => never(session, event, span),
    }
}

/// GitHub passes over whatever else stands in `workflow_dispatch`.
fn unknown_of_dispatch(session: &Session<'_>, node: &Node) {
    for (key, _) in node.as_map().into_iter().flat_map(|map| map.iter()) {
        let name = key.text().map_or("", |text| text);
        if name != "inputs" {
            let message = format!("`{name}` of `workflow_dispatch` means nothing");
            session.report(Problem::new(&code::GITHUB_NO_EFFECT, key.span, message).suggest(name, ["inputs"]));
        }
    }
}

/// Events that no forge of ours sends: the workflow is good, but they alone never start it.
fn never(session: &Session<'_>, event: &Event, span: Span) {
    let message = format!("tasuki starts no workflow by `{}`", event.name);
    session.report(
        Problem::new(&code::GITHUB_NO_EFFECT, span, message)
            .hint("push, pull_request, workflow_dispatch, schedule and workflow_call do"),
    );
}

fn schedule(session: &Session<'_>, span: Span, node: Option<&Node>) -> Vec<Turn> {
    let Some(items) = node.and_then(Node::as_seq).filter(|items| !items.is_empty()) else {
        let message = "`schedule` must be a list of `cron: …`";
        session.error(&code::GITHUB_VALUE, node.map_or(span, |node| node.span), message);
        return Vec::new();
    };
    let mut all = Vec::with_capacity(items.len());
    for item in items.iter() {
        let Some(map) = fields::keyed(session, item, &"a schedule", &["cron", "timezone"]) else {
            continue;
        };
        let Some(cron) = map.get("cron") else {
            session.error(&code::GITHUB_FORMAT, item.span, "a schedule has no `cron`");
            continue;
        };
        let zone = map
            .get("timezone")
            .and_then(|zone| fields::plain(session, zone, &"`timezone`"));
        let Some(text) = fields::plain(session, cron, &"`cron`") else {
            continue;
        };
        match cron::check(text) {
            Ok(()) => all.push(Turn {
                cron: text.to_owned(),
                time_zone: zone.map(str::to_owned),
            }),
            Err(problem) => session.error(&code::GITHUB_VALUE, cron.span, problem),
        }
    }
    all
}

fn call(session: &Session<'_>, map: Option<&crate::yaml::Map>) -> Call {
    let Some(map) = map else { return Call::default() };
    let inputs = map
        .get("inputs")
        .map(|node| inputs::parse(session, node, Giver::Caller))
        .unwrap_or_default();
    Call {
        inputs,
        secrets: map
            .get("secrets")
            .map(|node| secrets(session, node))
            .unwrap_or_default(),
        outputs: map
            .get("outputs")
            .map(|node| outputs(session, node))
            .unwrap_or_default(),
    }
}

fn secrets(session: &Session<'_>, node: &Node) -> Vec<(String, Required)> {
    let Some(map) = (value(node) != Value::Null)
        .then(|| fields::map(session, node, &"`secrets`"))
        .flatten()
    else {
        return Vec::new();
    };
    fields::unique(session, map, &"`secrets`");
    let mut found = Vec::new();
    for (key, node) in map.iter() {
        let name = key.text().map_or("", |text| text);
        let mut required = Required::No;
        if value(node) != Value::Null
            && let Some(map) = fields::keyed(
                session,
                node,
                &format_args!("secret `{name}`"),
                &["description", "required"],
            )
            && let Some(flag) = map.get("required")
            && fields::flag(session, flag, &"`required`") == Some(true)
        {
            required = Required::Yes;
        }
        found.push((name.to_owned(), required));
    }
    found
}

fn outputs(session: &Session<'_>, node: &Node) -> Vec<Output> {
    let Some(map) = (value(node) != Value::Null)
        .then(|| fields::map(session, node, &"`outputs`"))
        .flatten()
    else {
        return Vec::new();
    };
    fields::unique(session, map, &"`outputs`");
    let mut found = Vec::new();
    for (key, node) in map.iter() {
        let name = key.text().map_or("", |text| text);
        let Some(map) = fields::keyed(
            session,
            node,
            &format_args!("output `{name}`"),
            &["description", "value"],
        ) else {
            continue;
        };
        let Some(node) = map.get("value") else {
            session.error(
                &code::GITHUB_FORMAT,
                key.span,
                format!("output `{name}` has no `value`"),
            );
            continue;
        };
        if let Some(value) = fields::field(session, node, &"`value`", Wanted::Any, &names::WORKFLOW_OUTPUT) {
            found.push(Output {
                name: name.to_owned(),
                value,
            });
        }
    }
    found
}
