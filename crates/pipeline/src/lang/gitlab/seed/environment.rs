//! Names of environments and resource groups, expanded. One that comes out unusable is left out with a warning: the
//! rest of the pipeline does not hang on it.

use tasuki_model::plan::Environment;

use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::duration;
use crate::lang::gitlab::entry::{EnvironmentEntry, GOOD_NAME, JobEntry, TIERS, is_good_name};
use crate::lang::gitlab::slug::guess_tier;
use crate::lang::gitlab::variables::Scope;
use crate::yaml::Span;

/// The environment with its variables expanded.
pub(super) fn environment(
    entry: &EnvironmentEntry,
    scope: &Scope<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Environment> {
    let name = scope.expand(&entry.name.text);
    if !is_good_name(&name) {
        let what = format!("environment name `{name}` (made of `{}`)", entry.name.text);
        problems.push(unusable(&what, &name, entry.name.span));
        return None;
    }
    let mut complain = |span, text: String| problems.push(Problem::new(&code::GITLAB_ENVIRONMENT, span, text));
    let tier = entry.tier.as_ref().map(|tier| (scope.expand(&tier.text), tier.span));
    let tier = match tier {
        Some((tier, _)) if TIERS.contains(&tier.as_str()) => tier,
        None => guess_tier(&name).to_owned(),
        Some((tier, span)) => {
            let known = TIERS.join(", ");
            complain(
                span,
                format!("environment deployment_tier must be one of {known}, not `{tier}`"),
            );
            guess_tier(&name).to_owned()
        }
    };
    let auto_stop_in_s = entry.auto_stop_in.as_ref().and_then(|text| {
        let expanded = scope.expand(&text.text);
        if expanded.eq_ignore_ascii_case("never") {
            return Some(0);
        }
        let seconds = duration::parse(&expanded);
        if seconds.is_none() {
            complain(
                text.span,
                format!("environment auto_stop_in should be a duration, not `{expanded}`"),
            );
        }
        seconds
    });
    Some(Environment {
        url: entry.url.clone(),
        action: entry.action,
        on_stop: entry.on_stop.as_ref().map(|job| job.text.clone()),
        auto_stop_in_s,
        tier: Some(tier),
        name,
    })
}

/// The key of the resource group with its variables expanded; none where nothing is left of it.
pub(super) fn resource_group(entry: &JobEntry, scope: &Scope<'_>, session: &Session<'_>) -> Option<String> {
    let group = entry.resource_group.as_ref()?;
    let key = scope.expand(&group.text);
    if key.trim().is_empty() {
        return None;
    }
    if !is_good_name(&key) {
        let what = format!("resource_group `{key}` (made of `{}`)", group.text);
        session.report(unusable(&what, &key, group.span));
        return None;
    }
    Some(key)
}

fn unusable(what: &str, name: &str, span: Span) -> Problem {
    let problem = Problem::new(&code::GITLAB_ENVIRONMENT, span, format!("{what} {GOOD_NAME}"));
    let why = if name.is_empty() {
        "its variables are empty in this pipeline; "
    } else {
        ""
    };
    problem.hint(format!("{why}the job runs without it"))
}
