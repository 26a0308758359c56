//! Scripts of the job in the protocol's form.

use std::collections::BTreeMap;

use tasuki_model::labels::{Demand, EXTENSION};
use tasuki_model::plan::{self, StepKind, StepWhen};
use tasuki_proto::gitlab::{Hook, Secret, Step, When};

/// Whether the protocol's own steps can say all that this job does: the scheduler offers the others only to runners
/// that know more.
pub(super) fn is_plain(job: &plan::Job) -> bool {
    !Demand::of(job, false).features.contains(EXTENSION)
}

/// Native steps of GitLab's `run:` keyword: JSON in a string.
pub(super) fn native(job: &plan::Job) -> Option<String> {
    let all: Vec<&serde_json::Value> = job
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            StepKind::Native { definition } => Some(definition),
            _ => None,
        })
        .collect();
    let only_native = !all.is_empty() && all.len() == job.steps.len();
    only_native.then(|| serde_json::to_string(&all).ok()).flatten()
}

pub(super) fn scripts(job: &plan::Job, timeout: u64) -> Vec<Step> {
    if !is_plain(job) {
        return Vec::new();
    }
    job.steps.iter().filter_map(|step| script(step, timeout)).collect()
}

fn script(step: &plan::Step, timeout: u64) -> Option<Step> {
    let StepKind::Run { command, lines, .. } = &step.kind else {
        return None;
    };
    let script = if lines.is_empty() {
        vec![command.clone()]
    } else {
        lines.clone()
    };
    Some(Step {
        name: step.name.clone(),
        script,
        timeout,
        when: match step.when {
            StepWhen::OnSuccess => When::OnSuccess,
            StepWhen::OnFailure => When::OnFailure,
            StepWhen::Always => When::Always,
        },
        // Whatever after_script does, the job's result stands.
        allow_failure: step.continue_on_error || step.name == "after_script",
    })
}

pub(super) fn hooks(job: &plan::Job) -> Vec<Hook> {
    if job.pre_get_sources.is_empty() {
        return Vec::new();
    }
    vec![Hook {
        name: "pre_get_sources_script".to_owned(),
        script: job.pre_get_sources.clone(),
    }]
}

/// Secrets of outside providers, in the protocol's own form; the compiler has checked it.
pub(super) fn secrets(job: &plan::Job) -> BTreeMap<String, Secret> {
    job.secrets
        .iter()
        .filter_map(|(name, value)| match serde_json::from_value(value.clone()) {
            Ok(secret) => Some((name.clone(), secret)),
            Err(refused) => {
                tracing::warn!(job = job.name, secret = name, error = %refused, "a secret cannot be passed on");
                None
            }
        })
        .collect()
}
