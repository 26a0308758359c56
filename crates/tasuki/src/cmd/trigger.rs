//! What a pipeline of a folder is told about its start: `compile` and `exec` share it.

use clap::Args;
use serde_json::Value;
use tasuki_model::trigger::Source;
use tasuki_server::triggers::here::{Kind, Wish};

/// How the pipeline starts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Trigger")]
pub(crate) struct TriggerArgs {
    /// Branch that the pipeline builds [default: the one that is checked out]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// Tag that the pipeline builds
    #[arg(long, value_name = "TAG", conflicts_with = "git_ref")]
    tag: Option<String>,
    /// What starts it: push, tag (a push of the tag that `--tag` or `--ref` names), web, schedule, api (also
    /// workflow_dispatch), trigger, merge_request_event (also pull_request), …
    #[arg(long, value_name = "EVENT", default_value = "push", value_parser = event)]
    event: Event,
    /// A pipeline variable
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// An input (GitLab, GitHub) or a pipeline parameter (CircleCI); JSON, or plain text
    #[arg(long = "param", visible_alias = "input", value_name = "KEY=VALUE", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// A path that counts as changed; without any all do
    #[arg(long, value_name = "PATH")]
    changed: Vec<String>,
}

/// The value of `--event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Source(Source),
    /// To GitLab a push like any other; only the ref tells.
    Tag,
}

impl Event {
    fn source(self) -> Source {
        match self {
            Self::Source(source) => source,
            Self::Tag => Source::Push,
        }
    }
}

fn event(name: &str) -> Result<Event, String> {
    if name == "tag" {
        return Ok(Event::Tag);
    }
    Source::of_event(name).map(Event::Source).ok_or_else(|| {
        let names: Vec<_> = Source::NAMES.iter().map(|(_, name)| *name).collect();
        format!("it is one of tag, {}", names.join(", "))
    })
}

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

impl TriggerArgs {
    /// The same as the server's room for folders takes it.
    pub(crate) fn wish(&self, workflow: Option<&str>) -> Wish {
        let parsed = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
        let inputs = self.inputs.iter().map(|(key, value)| (key.clone(), parsed(value)));
        let is_tag = self.tag.is_some() || self.event == Event::Tag;
        Wish {
            source: self.event.source(),
            name: self.tag.clone().or(self.git_ref.clone()),
            kind: if is_tag { Kind::Tag } else { Kind::Branch },
            variables: self.variables.clone(),
            inputs: inputs.collect(),
            workflow: workflow.map(str::to_owned),
        }
    }

    /// The paths that count as changed; `None` = all.
    pub(crate) fn changed(&self) -> Option<Vec<String>> {
        (!self.changed.is_empty()).then(|| self.changed.clone())
    }

    /// Whether somebody starts it, or a program for somebody.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self.event.source(), Source::Api | Source::Web | Source::Trigger)
    }
}
