//! Whether a workflow is started by what happened.

use tasuki_model::trigger::Trigger;

use super::super::by_hand;
use super::super::entry::Workflow;
use super::super::on::Verdict;
use super::event::{self, Event};
use crate::Session;
use crate::request::{Answer as Given, Request};

/// Whether a workflow starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// The changed paths have been asked for.
    Later,
}

/// Types of pull request events that start a workflow which names none.
const USUAL: [&str; 3] = ["opened", "reopened", "synchronize"];

/// Decides by `on`.
pub(crate) fn started(session: &Session<'_>, workflow: &Workflow) -> Answer {
    let trigger = &session.input.context.trigger;
    let on = &workflow.on;
    let yes = |flag: bool| if flag { Answer::Yes } else { Answer::No };
    let (verdict, filters) = match event::of(trigger) {
        Event::Schedule => {
            // A schedule of the project's settings starts all that are scheduled, one of a file only that workflow.
            let of_file = trigger.schedule_description.as_deref().and_then(super::super::turn_of);
            return yes(match of_file {
                Some((file, cron)) => workflow.file == file && on.schedules.iter().any(|turn| turn.cron == cron),
                None => !on.schedules.is_empty(),
            });
        }
        Event::Dispatch => {
            let wanted = session.input.context.workflow.as_deref();
            let is_wanted = wanted.is_none_or(|wanted| by_hand::is_named(workflow, wanted));
            return yes(is_wanted && on.dispatch.is_some());
        }
        Event::Push => match &on.push {
            None => return Answer::No,
            Some(filters) => (filters.of_push(&trigger.git_ref), filters),
        },
        Event::PullRequest => match &on.pull_request {
            None => return Answer::No,
            Some(request) => {
                let action = event::action(trigger);
                let wanted = match request.types.as_slice() {
                    [] => USUAL.contains(&action),
                    types => types.iter().any(|kind| kind == action),
                };
                if !wanted {
                    return Answer::No;
                }
                let base = trigger
                    .merge_request
                    .as_ref()
                    .map_or("", |request| &request.target_branch);
                (request.filters.of_pull_request(base), &request.filters)
            }
        },
    };
    match verdict {
        Verdict::Yes => Answer::Yes,
        Verdict::No => Answer::No,
        Verdict::AskPaths => match session.ask(Request::Changed { compare_to: None }) {
            None => Answer::Later,
            Some(Given::Changed(changed)) => yes(filters.admits_paths(changed.as_deref())),
            // Where the difference cannot be had, the workflow runs.
            Some(_) => Answer::Yes,
        },
    }
}

/// Whether somebody, or a program for somebody, starts it by hand.
pub(crate) fn is_dispatch(trigger: &Trigger) -> bool {
    event::of(trigger) == Event::Dispatch
}

/// Whether a push asks for no pipelines: words in its message, or a trailer.
pub(crate) fn asks_to_skip(trigger: &Trigger) -> bool {
    let message = &trigger.commit.message;
    let words = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    let trailer = |line: &str| matches!(line.trim(), "skip-checks: true" | "skip-checks:true");
    matches!(event::of(trigger), Event::Push | Event::PullRequest)
        && (words.iter().any(|word| message.contains(word)) || message.lines().any(trailer))
}
