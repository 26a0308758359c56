//! `only` and `except`.

use tasuki_model::trigger::{GitRef, Source};

use super::facts::Facts;
use crate::Context;
use crate::lang::gitlab::entry::{Policy, RefName, RefRule};
use crate::lang::gitlab::expr;
use crate::lang::gitlab::variables::Scope;

/// Whether the job is part of the pipeline: `only` wants all kinds that it names, `except` refuses by any.
pub(super) fn accepts(
    only: Option<&Policy>,
    except: Option<&Policy>,
    context: &Context,
    scope: &Scope<'_>,
    facts: &Facts<'_>,
) -> bool {
    let only_holds = only.is_none_or(|policy| {
        policy.refs.as_ref().is_none_or(|refs| any_ref(refs, context))
            && policy
                .variables
                .as_ref()
                .is_none_or(|all| all.iter().any(|expr| expr::holds(expr, scope)))
            && policy.changes.as_ref().is_none_or(|paths| facts.plain_changes(paths))
            && !policy.kubernetes
    });
    let except_holds = |policy: &Policy| {
        policy.refs.as_ref().is_some_and(|refs| any_ref(refs, context))
            || policy
                .variables
                .as_ref()
                .is_some_and(|all| all.iter().any(|expr| expr::holds(expr, scope)))
            || policy.changes.as_ref().is_some_and(|paths| facts.plain_changes(paths))
    };
    only_holds && !except.is_some_and(except_holds)
}

fn any_ref(refs: &[RefRule], context: &Context) -> bool {
    refs.iter().any(|rule| {
        let here = rule.project.as_ref().is_none_or(|path| *path == context.project.path);
        here && ref_holds(&rule.name, context)
    })
}

fn ref_holds(name: &RefName, context: &Context) -> bool {
    let trigger = &context.trigger;
    let git_ref = match &trigger.git_ref {
        GitRef::Branch(branch) if trigger.merge_request.is_none() => Some(("branches", branch.as_str())),
        GitRef::Tag(tag) => Some(("tags", tag.as_str())),
        // Names and patterns are only tested for branches and tags.
        GitRef::Branch(_) | GitRef::MergeRequest { .. } => None,
    };
    match name {
        RefName::Word(word) => {
            is_source(word, trigger.source) || git_ref.is_some_and(|(kind, name)| word == kind || word == name)
        }
        RefName::Pattern(pattern) => git_ref.is_some_and(|(_, name)| pattern.is_match(name)),
    }
}

/// `push` or `pushes`, `merge_request` or `merge_requests`: the source without `_event`, or its plural.
fn is_source(word: &str, source: Source) -> bool {
    let name = source.as_str().trim_end_matches("_event");
    let rest = word.strip_prefix(name);
    match rest {
        Some("") => true,
        Some("es") => name.ends_with("sh"),
        Some("s") => !name.ends_with("sh"),
        Some(_) | None => false,
    }
}
