//! Workflows that somebody starts by hand: `workflow_dispatch`.

use super::entry::Workflow;
use super::on::{Input, InputKind, default_value};
use super::{load, plan};
use crate::Session;
use crate::diag::{Problem, code};
use crate::form::{Field, FieldKind, Form};
use crate::yaml::Span;

/// Whether a workflow is the one of that name: its file, the file's name, or its own name.
pub(super) fn is_named(workflow: &Workflow, wanted: &str) -> bool {
    workflow.name.as_deref() == Some(wanted) || is_file(&workflow.file, wanted)
}

fn is_file(file: &str, wanted: &str) -> bool {
    file == wanted || file.rsplit('/').next() == Some(wanted)
}

/// Whether what somebody asks for is there and clear; else it is told why not.
pub(super) fn fits(session: &Session<'_>, files: &[(String, String)], workflows: &[Workflow]) -> bool {
    let context = session.input.context;
    if !plan::is_dispatch(&context.trigger) {
        return true;
    }
    let by_hand: Vec<&Workflow> = workflows.iter().filter(|one| one.on.dispatch.is_some()).collect();
    let Some(wanted) = &context.workflow else {
        if context.trigger.inputs.is_empty() || by_hand.len() < 2 {
            return true;
        }
        let files: Vec<&str> = by_hand.iter().map(|one| one.file.as_str()).collect();
        let message = "inputs are given, but not for which of the workflows that are started by hand";
        session.report(
            Problem::new(&code::GITHUB_INPUT, Span::default(), message)
                .hint(format!("name one of {} (`--workflow`)", files.join(", "))),
        );
        return false;
    };
    if by_hand.iter().any(|one| is_named(one, wanted)) {
        return true;
    }
    // A file of that name that is not among them has errors, which were told.
    let is_there = workflows.iter().any(|one| is_named(one, wanted));
    if is_there {
        let message = format!("workflow `{wanted}` has no `workflow_dispatch` among what starts it");
        session.report(
            Problem::new(&code::GITHUB_INPUT, Span::default(), message)
                .hint("add `workflow_dispatch:` to its `on`, or push what starts it"),
        );
    } else if !files.iter().any(|(file, _)| is_file(file, wanted)) {
        let known = workflows
            .iter()
            .flat_map(|one| one.name.as_deref().into_iter().chain(one.file.rsplit('/').next()));
        session.report(
            Problem::new(
                &code::GITHUB_INPUT,
                Span::default(),
                format!("there is no workflow `{wanted}`"),
            )
            .suggest(wanted, known),
        );
    }
    false
}

/// What a workflow file asks for; `None` where it is not started by hand.
pub(crate) fn form(session: &Session<'_>) -> Option<Form> {
    let (file, text) = (session.input.file, session.input.text);
    let workflow = load(session, file, text).filter(|_| session.errors() == 0)?;
    let inputs = workflow.on.dispatch.as_ref()?.iter().map(field).collect();
    Some(Form {
        language: session.input.lang,
        file: workflow.file,
        workflow: workflow.name,
        inputs,
        variables: Vec::new(),
    })
}

fn field(input: &Input) -> Field {
    let default = input
        .default
        .as_ref()
        .map(|_| default_value(input).to_text().to_string());
    Field {
        name: input.name.clone(),
        kind: match &input.kind {
            InputKind::Bool => FieldKind::Boolean,
            InputKind::Number => FieldKind::Number,
            InputKind::Choice(options) => FieldKind::Choice(options.clone()),
            InputKind::Text | InputKind::Environment => FieldKind::Text,
        },
        description: input.description.clone(),
        required: input.required && default.is_none(),
        default,
    }
}
