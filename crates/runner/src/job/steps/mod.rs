//! Typed steps: what the `tasuki` object of the payload says beyond GitLab's scripts.
//!
//! A job that has them gets nothing by itself: no checkout, no caches, no artifacts; its steps do these. [`run`] goes
//! through them in order, [`command`] and [`files`] do one each.

mod command;
mod files;
mod output;
mod place;
mod run;
mod talk;

use tasuki_model::plan::{Step, StepKind};

/// Whether the job brings contexts, so that its steps speak to those after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Yes,
    No,
}

/// What this runner cannot do of a step, said before anything runs.
pub(super) fn unsupported(step: &Step, speaks: Speaks) -> Option<String> {
    let named = |what: &str| Some(format!("this runner has no {what}"));
    let late = step.condition.is_some() || step.late.is_some();
    if speaks == Speaks::No && late {
        return named("steps with expressions for a job that brings no contexts");
    }
    match &step.kind {
        StepKind::Composite { steps, .. } if speaks == Speaks::Yes => {
            steps.iter().find_map(|step| unsupported(step, speaks))
        }
        StepKind::Node { .. } | StepKind::Container { .. } if speaks == Speaks::Yes => None,
        StepKind::Composite { .. } | StepKind::Node { .. } | StepKind::Container { .. } => {
            named("actions for a job that brings no contexts")
        }
        StepKind::Run { .. }
        | StepKind::Checkout { .. }
        | StepKind::RestoreCache { cache: None, .. }
        | StepKind::SaveCache { .. }
        | StepKind::PersistWorkspace { .. }
        | StepKind::AttachWorkspace { .. }
        | StepKind::StoreArtifacts { path: Some(_), .. }
        | StepKind::StoreTestResults { .. } => None,
        StepKind::RestoreCache { cache: Some(_), .. } => named("`restore_cache` with a cache of the job"),
        StepKind::StoreArtifacts { path: None, .. } => named("`store_artifacts` without a path"),
        StepKind::AddSshKeys { .. } => {
            named("`add_ssh_keys`: put the key into a variable of the kind file and load it in a `run` step")
        }
        StepKind::SetupRemoteDocker { .. } => {
            named("`setup_remote_docker`: the jobs of a runner use the docker of its machine")
        }
        StepKind::Action { .. } => named("actions (`uses`)"),
        StepKind::Native { .. } => named("native steps (`run` of GitLab)"),
        StepKind::Wait { .. } => named("steps that wait for others"),
    }
}

/// Whether a step runs in a container of its own.
pub(super) fn is_contained(step: &Step) -> bool {
    match &step.kind {
        StepKind::Container { .. } => true,
        StepKind::Composite { steps, .. } => steps.iter().any(is_contained),
        _ => false,
    }
}

/// Name of a step for its section: its own, or what it does.
pub(super) fn title(step: &Step) -> String {
    if !step.name.is_empty() {
        return step.name.clone();
    }
    match &step.kind {
        StepKind::Run { command, .. } => command.lines().next().unwrap_or("run").to_owned(),
        StepKind::Checkout { .. } => "Checkout code".to_owned(),
        StepKind::RestoreCache { .. } => "Restoring cache".to_owned(),
        StepKind::SaveCache { .. } => "Saving cache".to_owned(),
        StepKind::PersistWorkspace { .. } => "Persisting to workspace".to_owned(),
        StepKind::AttachWorkspace { .. } => "Attaching workspace".to_owned(),
        StepKind::StoreArtifacts { .. } => "Uploading artifacts".to_owned(),
        StepKind::StoreTestResults { .. } => "Uploading test results".to_owned(),
        StepKind::AddSshKeys { .. } => "Installing SSH keys".to_owned(),
        StepKind::SetupRemoteDocker { .. } => "Setting up remote docker".to_owned(),
        StepKind::Action { .. } | StepKind::Composite { .. } | StepKind::Node { .. } | StepKind::Container { .. } => {
            "Using an action".to_owned()
        }
        StepKind::Native { .. } => "Running a native step".to_owned(),
        StepKind::Wait { .. } => "Waiting for background steps".to_owned(),
    }
}
