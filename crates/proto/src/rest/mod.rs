//! Types of our own REST API below `/api/v1`.
//!
//! Names are `snake_case`, times are RFC 3339 in UTC with milliseconds, durations end in `_s` or `_ms`, ids are
//! integers. Absent optional fields are left out. Errors are [`Problem`] as `application/problem+json`.
//! Lists come as [`Page`], newest first, with a cursor.

mod environment;
mod job;
mod page;
mod pages;
mod pipeline;
mod problem;
mod project;
mod release;
mod runner;
mod schedule;
mod time;
mod token;

pub use environment::{Deployment, DeploymentStatus, Environment, EnvironmentState, JobEnvironment, StopEnvironment};
pub use job::{
    Artifact, Job, JobKind, JobNeed, JobPatch, PendingCause, Play, RunnerRef, Task, VariableInput, WhyPending,
};
pub use page::Page;
pub use pages::Pages;
pub use pipeline::{
    CompileRequest, Compiled, Counts, Diagnostic, Downstream, Form, FormField, LintRequest, NewPipeline, Pipeline,
    PipelineDetail, UpstreamJob, Workflow,
};
pub use problem::{FieldError, PROBLEM_JSON, Problem};
pub use project::{NewProject, Project, ProjectKind, ProjectPatch, ProjectVariable};
pub use release::{Release, ReleaseLink};
pub use runner::{
    CreatedResourceClass, CreatedRunner, Manager, NewResourceClass, NewRunner, ResourceClass, Runner, RunnerPatch,
    RunnerScope,
};
pub use schedule::{NewSchedule, Schedule, SchedulePatch};
pub use time::Time;
pub use token::{CreatedToken, NewToken, Token, TokenScope};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of a pipeline, workflow, job or task as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for what comes before it.
    Created,
    /// Waits for its resource group.
    WaitingForResource,
    /// Waits for a person.
    Manual,
    /// Waits for the clock.
    Scheduled,
    /// Could start now, waits for a runner.
    Pending,
    Running,
    /// Told to stop, cleans up.
    Canceling,
    Success,
    /// The user's fault.
    Failed,
    /// Our fault, the machine's, the network's.
    Error,
    Canceled,
    Skipped,
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more will happen by itself. `Manual` is not final for a job; a pipeline that only has manual
    /// jobs left reports the status of the others.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Error | Self::Canceled | Self::Skipped
        )
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Answer of `GET /api/v1/version` (no token needed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    pub version: String,
    pub revision: String,
}
