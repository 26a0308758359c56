//! Which jobs are part of the pipeline, and how their rules change them.

use tasuki_model::plan::{AllowFailure, Variable, When};

use super::facts::Facts;
use super::policy;
use crate::Context;
use crate::lang::gitlab::entry::{JobEntry, NeedEntry, Rule, RuleWhen, Selection};
use crate::lang::gitlab::expr;
use crate::lang::gitlab::variables::Scope;

/// What is decided for a job that is part of the pipeline.
pub(super) struct Selected<'d> {
    pub(super) when: When,
    pub(super) start_in: Option<u64>,
    pub(super) allow_failure: AllowFailure,
    /// Of the rule that held.
    pub(super) variables: &'d [Variable],
    /// Of the rule that held: they replace the job's.
    pub(super) needs: Option<&'d [NeedEntry]>,
    pub(super) interruptible: bool,
}

/// Whether all clauses of a rule hold.
pub(super) fn holds(rule: &Rule, scope: &Scope<'_>, facts: &Facts<'_>) -> bool {
    rule.condition
        .as_ref()
        .is_none_or(|condition| expr::holds(condition, scope))
        && rule
            .changes
            .as_ref()
            .is_none_or(|changes| facts.changes(changes, scope))
        && rule.exists.as_ref().is_none_or(|exists| facts.exists(exists, scope))
}

/// `None`: the job is not part of this pipeline.
pub(super) fn select<'d>(
    entry: &'d JobEntry,
    context: &Context,
    scope: &Scope<'_>,
    facts: &Facts<'_>,
) -> Option<Selected<'d>> {
    let rule = match &entry.selection {
        Selection::Policies { only, except } => {
            if !policy::accepts(only.as_ref(), except.as_ref(), context, scope, facts) {
                return None;
            }
            None
        }
        Selection::Rules(rules) if rules.is_empty() => None,
        Selection::Rules(rules) => Some(rules.iter().find(|rule| holds(rule, scope, facts))?),
    };
    let own_when = entry.when.unwrap_or_default();
    let when = match rule.and_then(|rule| rule.when) {
        Some(RuleWhen::Never) => return None,
        Some(RuleWhen::When(when)) => when,
        None => own_when,
    };
    // Of the job, not of the rule: `rules: [{when: manual}]` blocks, `when: manual` of a job does not.
    let own_failure = || {
        entry
            .allow_failure
            .clone()
            .unwrap_or(AllowFailure::Flag(own_when == When::Manual))
    };
    Some(Selected {
        when,
        start_in: rule.and_then(|rule| rule.start_in).or(entry.start_in),
        allow_failure: rule
            .and_then(|rule| rule.allow_failure)
            .map_or_else(own_failure, AllowFailure::Flag),
        variables: rule.map_or(&[], |rule| &rule.variables),
        needs: rule.and_then(|rule| rule.needs.as_deref()),
        interruptible: rule
            .and_then(|rule| rule.interruptible)
            .or(entry.interruptible)
            .unwrap_or(false),
    })
}
