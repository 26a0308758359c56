//! Variables of the settings of instance, groups and project.

use tasuki_model::plan::Variable;

use crate::{Context, ScopedVariable};

/// The variables of the settings that a job with this (expanded) environment gets, in order of precedence:
/// instance, groups from the root, project; at one level `*`, then patterns, then the exact name. Protected ones
/// only where the ref is protected.
#[must_use]
pub fn settings(context: &Context, environment: Option<&str>) -> Vec<Variable> {
    let mut fitting: Vec<&ScopedVariable> = context
        .variables
        .iter()
        .filter(|v| context.pipeline.protected_ref || !v.variable.protected)
        .filter(|v| scope_matches(&v.environment_scope, environment))
        .collect();
    fitting.sort_by_key(|v| (v.level, rank(&v.environment_scope), v.environment_scope.len()));
    fitting.into_iter().map(|v| v.variable.clone()).collect()
}

fn rank(scope: &str) -> u8 {
    match scope {
        "*" | "" => 0,
        _ if scope.contains('*') => 1,
        _ => 2,
    }
}

/// Whether an environment scope (`*`, `review/*`, `production`) holds for an environment's name; without an
/// environment only `*` does.
#[must_use]
pub fn scope_matches(scope: &str, environment: Option<&str>) -> bool {
    if matches!(scope, "*" | "") {
        return true;
    }
    let Some(name) = environment else { return false };
    let mut parts = scope.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
