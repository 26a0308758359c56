//! What a pipeline of a folder is told about its start: `compile` and `exec` share it.

use clap::Args;
use tasuki_model::plan::Variable;
use tasuki_model::trigger::{Commit, GitRef, MergeRequest, Source, Trigger};
use tasuki_server::git::Worktree;

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
    /// An input of the configuration's header; JSON, or plain text
    #[arg(long = "param", value_name = "KEY=VALUE", value_parser = pair)]
    inputs: Vec<(String, String)>,
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
    let name = match name {
        "tag" => return Ok(Event::Tag),
        "merge_request" | "pull_request" => "merge_request_event",
        "workflow_dispatch" => "api",
        name => name,
    };
    Source::parse(name).map(Event::Source).ok_or_else(|| {
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
    /// The trigger for a folder; `default_branch` is the target of a merge request.
    pub(crate) fn trigger(&self, worktree: Option<&Worktree>, default_branch: &str) -> Trigger {
        let branch = worktree.and_then(|tree| tree.branch.clone());
        let name = self.git_ref.clone().or(branch).unwrap_or_else(|| "HEAD".to_owned());
        let zeros = "0".repeat(40);
        let unborn = || Commit {
            sha: zeros.clone(),
            before_sha: zeros.clone(),
            ..Commit::default()
        };
        let commit = worktree.and_then(|tree| tree.commit.clone()).unwrap_or_else(unborn);
        let merge_request = self
            .source_is_merge_request()
            .then(|| merge_request(&name, &commit, default_branch));
        let git_ref = match (&self.tag, &merge_request) {
            (Some(tag), _) => GitRef::Tag(tag.clone()),
            (None, Some(request)) => GitRef::MergeRequest {
                iid: request.iid,
                kind: "head".to_owned(),
            },
            (None, None) if self.event == Event::Tag => GitRef::Tag(name),
            (None, None) => GitRef::Branch(name),
        };
        let login = commit.author_email.split('@').next().unwrap_or_default().to_owned();
        let user = (!login.is_empty()).then(|| (login, commit.author_name.clone(), commit.author_email.clone()));
        let parsed =
            |text: &String| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text.as_str()));
        Trigger {
            source: self.event.source(),
            git_ref,
            commit,
            variables: self
                .variables
                .iter()
                .map(|(key, value)| Variable::plain(key, value))
                .collect(),
            inputs: self
                .inputs
                .iter()
                .map(|(key, value)| (key.clone(), parsed(value)))
                .collect(),
            merge_request,
            user,
            payload: None,
            schedule_description: None,
            upstream: None,
            by_token: false,
            origin: None,
        }
    }

    fn source_is_merge_request(&self) -> bool {
        self.event.source() == Source::MergeRequestEvent
    }
}

/// A merge request from the branch into the default branch, as it would be if it were opened now.
fn merge_request(branch: &str, commit: &Commit, target: &str) -> MergeRequest {
    MergeRequest {
        id: 1,
        iid: 1,
        title: commit.message.lines().next().unwrap_or_default().to_owned(),
        source_branch: branch.to_owned(),
        target_branch: target.to_owned(),
        event_type: "detached".to_owned(),
        ..MergeRequest::default()
    }
}
