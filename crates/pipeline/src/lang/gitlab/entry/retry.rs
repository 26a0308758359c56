//! `retry`, `allow_failure`, `parallel`.

use tasuki_model::plan::{AllowFailure, Retry};
use tasuki_model::reason::{FailureReason, RetryOn};

use super::check::{Check, every, value};
use crate::diag::code;
use crate::yaml::{Node, Value};

const MAX_RETRY: i64 = 2;

/// Reasons that `retry:when` may name.
const RETRY_WHEN: &[&str] = &[
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "runner_interrupted",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "forward_deployment_failure",
    "environment_creation_failure",
    "deployment_rejected",
    "failed_outdated_deployment_job",
    "trace_size_exceeded",
    "image_pull_failure",
    "missing_dependency_failure",
    "user_blocked",
    "project_deleted",
    "ci_quota_exceeded",
    "pipeline_loop_detected",
    "no_matching_runner",
    "builds_disabled",
    "downstream_pipeline_creation_failed",
    "secrets_provider_not_found",
];

/// Reasons of GitLab's that a job here never fails for. They may be named, and nothing comes of it.
const NEVER_HERE: &[&str] = &[
    "bridge_pipeline_is_child_pipeline",
    "downstream_bridge_project_not_found",
    "downstream_project_trigger_resolved_to_empty",
    "duo_workflow_connection_failure",
    "duo_workflow_not_allowed",
    "insufficient_bridge_permissions",
    "insufficient_upstream_permissions",
    "invalid_bridge_trigger",
    "ip_restriction_failure",
    "job_execution_server_timeout",
    "job_router_failure",
    "job_token_expired",
    "no_updates_canceling",
    "no_updates_running",
    "protected_environment_failure",
    "reached_downstream_pipeline_trigger_rate_limit",
    "reached_max_descendant_pipelines_depth",
    "reached_max_pipeline_hierarchy_size",
    "runner_provisioning_timeout",
    "secrets_manager_access_denied",
    "server_timeout_canceling",
    "server_timeout_running",
    "stuck_pending_no_matching_runners",
    "stuck_pending_with_matching_runners",
    "upstream_bridge_project_not_found",
];

pub(super) fn retry(check: &mut Check<'_>, node: &Node) -> Option<Retry> {
    match value(node) {
        Value::Int(_) => Some(Retry {
            max: retries(check, node)?,
            ..Retry::default()
        }),
        Value::Map(_) => {
            let map = check.map(node, &["max", "when", "exit_codes"])?;
            let max = check.key(map, "max", retries);
            let when = check.key(map, "when", retry_when);
            let exit_codes = check.key(map, "exit_codes", exit_codes).unwrap_or_default();
            // No reason that is left would mean every reason.
            let never = when.as_ref().is_some_and(Vec::is_empty) && exit_codes.is_empty();
            let when = when.unwrap_or_default();
            Some(Retry {
                max: max.filter(|_| !never).unwrap_or(0),
                when,
                exit_codes,
            })
        }
        _ => {
            check.wrong_type(node, "either an integer or a hash");
            None
        }
    }
}

fn retries(check: &mut Check<'_>, node: &Node) -> Option<u32> {
    let n = check.integer(node)?;
    match u32::try_from(n) {
        Ok(max) if n <= MAX_RETRY => Some(max),
        Ok(_) => {
            check.bad_value(
                node.span,
                &format!("must be less than or equal to {MAX_RETRY}, not {n}"),
            );
            None
        }
        Err(_) => {
            check.bad_value(node.span, "must be greater than or equal to 0");
            None
        }
    }
}

fn retry_when(check: &mut Check<'_>, node: &Node) -> Option<Vec<RetryOn>> {
    let words = check.string_or_strings(node)?;
    let mut out = Vec::with_capacity(words.len());
    for word in words {
        let known = RETRY_WHEN.contains(&word.text.as_str());
        match (word.text.as_str(), FailureReason::parse(&word.text)) {
            ("always", _) => out.push(RetryOn::Always),
            (_, Some(reason)) if known => out.push(RetryOn::Reason(reason)),
            (name, _) if NEVER_HERE.contains(&name) => {
                let text = format!("config has no effect for {name}: no job here fails for that reason");
                check.report(check.problem(&code::GITLAB_NO_EFFECT, word.span, &text));
            }
            _ => {
                let text = format!("config contains unknown values: {}", word.text);
                let problem = check.problem(&code::GITLAB_VALUE, word.span, &text);
                check.report(problem.suggest(&word.text, RETRY_WHEN.iter().copied()));
            }
        }
    }
    Some(out)
}

/// A number or a list of numbers.
fn exit_codes(check: &mut Check<'_>, node: &Node) -> Option<Vec<i32>> {
    let one = |check: &mut Check<'_>, node: &Node| {
        let n = check.integer(node)?;
        i32::try_from(n).ok().or_else(|| {
            check.bad_value(node.span, "is no exit code");
            None
        })
    };
    match value(node) {
        Value::Int(_) => Some(vec![one(check, node)?]),
        Value::Seq(items) => every(items.iter().map(|item| one(check, item))),
        _ => {
            check.wrong_type(node, "an array of integers or an integer");
            None
        }
    }
}

pub(super) fn allow_failure(check: &mut Check<'_>, node: &Node) -> Option<AllowFailure> {
    match value(node) {
        Value::Bool(flag) => Some(AllowFailure::Flag(flag)),
        Value::Map(_) => {
            let map = check.map(node, &["exit_codes"])?;
            let codes = check.required(map, node.span, "exit_codes")?;
            Some(AllowFailure::ExitCodes {
                exit_codes: check.within("exit_codes", |check| exit_codes(check, codes))?,
            })
        }
        _ => {
            check.wrong_type(node, "a hash or a boolean value");
            None
        }
    }
}
