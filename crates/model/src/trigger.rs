//! What starts a pipeline.

use serde::{Deserialize, Serialize};

use crate::plan::Variable;

/// Where a pipeline comes from (`CI_PIPELINE_SOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[default]
    Push,
    Web,
    Trigger,
    Schedule,
    Api,
    External,
    /// Started by another project's pipeline.
    Pipeline,
    ParentPipeline,
    MergeRequestEvent,
    ExternalPullRequestEvent,
    Chat,
    Webide,
}

impl Source {
    /// Every source, with the name used in configuration files.
    pub const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Push, "push"),
        (Self::Web, "web"),
        (Self::Trigger, "trigger"),
        (Self::Schedule, "schedule"),
        (Self::Api, "api"),
        (Self::External, "external"),
        (Self::Pipeline, "pipeline"),
        (Self::ParentPipeline, "parent_pipeline"),
        (Self::MergeRequestEvent, "merge_request_event"),
        (Self::ExternalPullRequestEvent, "external_pull_request_event"),
        (Self::Chat, "chat"),
        (Self::Webide, "webide"),
    ];

    /// The name used in configuration files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(source, _)| *source == self)
            .map_or("push", |(_, name)| name)
    }

    /// The source of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(source, _)| *source)
    }

    /// The source of that name, or of the event that another language calls so.
    #[must_use]
    pub fn of_event(name: &str) -> Option<Self> {
        Self::parse(match name {
            "merge_request" | "pull_request" => "merge_request_event",
            "workflow_dispatch" => "api",
            name => name,
        })
    }
}

/// What a pipeline builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "snake_case")]
pub enum GitRef {
    Branch(String),
    Tag(String),
    /// A merge request: number, and `head`, `merge` or `train`.
    MergeRequest {
        iid: i64,
        kind: String,
    },
}

impl GitRef {
    /// The short name: branch, tag, or `refs/merge-requests/N/kind`.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Branch(name) | Self::Tag(name) => name.clone(),
            Self::MergeRequest { .. } => self.full(),
        }
    }

    /// The word for its kind: `branch`, `tag`, `merge_request`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Branch(_) => "branch",
            Self::Tag(_) => "tag",
            Self::MergeRequest { .. } => "merge_request",
        }
    }

    /// The full name below `refs/`.
    #[must_use]
    pub fn full(&self) -> String {
        match self {
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
            Self::MergeRequest { iid, kind } => format!("refs/merge-requests/{iid}/{kind}"),
        }
    }
}

/// A commit as pipelines describe it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commit {
    pub sha: String,
    /// Tip before the push; 40 zeros where there is none.
    pub before_sha: String,
    pub message: String,
    pub author_name: String,
    pub author_email: String,
    /// RFC 3339.
    pub timestamp: String,
    /// Message of an annotated tag.
    #[serde(default)]
    pub tag_message: Option<String>,
}

/// A merge request as pipelines describe it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergeRequest {
    pub id: i64,
    pub iid: i64,
    pub title: String,
    pub description: String,
    pub source_branch: String,
    pub source_sha: String,
    pub source_project: String,
    pub source_project_url: String,
    pub target_branch: String,
    pub target_sha: String,
    pub target_project: String,
    pub target_project_url: String,
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    pub milestone: Option<String>,
    pub draft: bool,
    pub approved: bool,
    pub squash: bool,
    /// `detached`, `merged_result`, `merge_train`.
    pub event_type: String,
    pub diff_base_sha: String,
    pub target_protected: bool,
    pub source_protected: bool,
    /// What happened to it, in GitHub's words (`opened`, `labeled`, …); empty = new commits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// It was merged, and that is what happened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// Its commits come from another project, whose authors the target does not know: no secret is given to what they
    /// run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forked: bool,
}

/// Everything that is known when somebody or something asks for a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    pub source: Source,
    pub git_ref: GitRef,
    pub commit: Commit,
    /// Variables given with the trigger: pipeline variables.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// Typed inputs given with the trigger.
    #[serde(default)]
    pub inputs: Vec<(String, serde_json::Value)>,
    #[serde(default)]
    pub merge_request: Option<MergeRequest>,
    /// Who: login, name, e-mail.
    #[serde(default)]
    pub user: Option<(String, String, String)>,
    /// The forge's payload, where one exists (`TRIGGER_PAYLOAD`, GitHub's `github.event`).
    #[serde(default)]
    pub payload: Option<serde_json::Value>,
    #[serde(default)]
    pub schedule_description: Option<String>,
    /// The job that started it, in another pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// Started with a trigger token (`CI_PIPELINE_TRIGGERED`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_token: bool,
    /// What started the pipeline of which this one is a part, for those whose source is a job of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Source>,
}

impl MergeRequest {
    /// A merge request of that branch, as it would be if it were opened now.
    #[must_use]
    pub fn supposed(branch: &str, commit: &Commit, target: &str) -> Self {
        Self {
            id: 1,
            iid: 1,
            title: commit.message.lines().next().unwrap_or_default().to_owned(),
            source_branch: branch.to_owned(),
            target_branch: target.to_owned(),
            event_type: "detached".to_owned(),
            ..Self::default()
        }
    }

    /// The ref of its source branch's tip.
    #[must_use]
    pub fn head(&self) -> GitRef {
        GitRef::MergeRequest {
            iid: self.iid,
            kind: "head".to_owned(),
        }
    }
}

impl Trigger {
    /// Whether what is built was written by somebody whom the project does not know.
    #[must_use]
    pub fn is_from_fork(&self) -> bool {
        self.merge_request.as_ref().is_some_and(|request| request.forked)
    }
}

/// The job that started a pipeline (`CI_UPSTREAM_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    pub project: i64,
    pub pipeline: i64,
    pub job: i64,
}
