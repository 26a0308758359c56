//! What a config file compiles to: workflows → jobs → steps, with late conditions as expressions.
//!
//! One Plan serves every language; the runner never learns which language wrote a job. The JSON form
//! is what `tasuki compile` prints: unknown keys may be added, names here are fixed. `docs/ARCHITECTURE.md`
//! has the table "construct of each language → its place in the Plan".

mod cache;
mod gate;
mod image;
mod job;
mod late;
mod options;
mod step;
mod variable;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use cache::{Artifacts, Cache, CacheKey, CachePolicy, Report, UploadWhen};
pub use gate::{Approval, Gate, ManualGate, ProcessMode, ResourceGroup};
pub use image::{Image, Meeting, Port, PullPolicy, Service};
pub use job::{
    AllowFailure, Downstream, DownstreamTarget, Environment, EnvironmentAction, ForwardVariables, Job, Machine,
    MachineKind, Need, NeedSource, Release, ReleaseLink, Retry, Strategy, When,
};
pub use late::{Late, seconds};
pub use options::{Health, Options, Refused, Volume, size, words};
pub use step::{ActionImage, ActionRef, Step, StepKind, StepWhen};
pub use variable::{IdToken, Variable};

use crate::expr::Expr;

/// Version of the Plan's JSON form.
pub const PLAN_VERSION: u32 = 1;

/// A compiled configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    pub language: Language,
    /// Name of the pipeline (GitLab `workflow:name`, expanded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub workflows: Vec<Workflow>,
    /// What becomes of older pipelines of the same ref when this one starts.
    #[serde(default)]
    pub auto_cancel: AutoCancel,
}

/// Which front end wrote the plan. Shown to people; nothing decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Gitlab,
    Circleci,
    Github,
}

impl Language {
    /// The word used on command lines and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Circleci => "circleci",
            Self::Github => "github",
        }
    }
}

/// A named graph of jobs. GitLab: exactly one per pipeline. CircleCI: one per `workflows:` entry.
/// GitHub: one per workflow file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    pub name: String,
    /// The file that it stands in, where each has one of its own (GitHub).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Stage names in order; jobs of languages without stages share one unnamed stage and use needs only.
    #[serde(default)]
    pub stages: Vec<String>,
    pub jobs: Vec<Job>,
    /// Evaluated when the workflow is created and its inputs exist; absent = runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
    /// GitHub's workflow-level `concurrency`: one running pipeline per group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ResourceGroup>,
    /// Variables that every job of the workflow sees, before its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Expr>,
    /// Whole workflow is re-run from failed jobs up to this many times (CircleCI `max_auto_reruns`).
    #[serde(default)]
    pub max_auto_reruns: u32,
}

/// GitLab `workflow:auto_cancel`; CircleCI's and GitHub's auto-cancel map onto it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AutoCancel {
    #[serde(default)]
    pub on_new_commit: OnNewCommit,
    #[serde(default)]
    pub on_job_failure: OnJobFailure,
}

/// What a newer pipeline on the same ref cancels in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNewCommit {
    /// Everything, but only while no job that is not interruptible has started.
    #[default]
    Conservative,
    /// Only jobs that are interruptible, running ones too.
    Interruptible,
    None,
}

/// What a failed job does to the rest of its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnJobFailure {
    #[default]
    None,
    All,
}
