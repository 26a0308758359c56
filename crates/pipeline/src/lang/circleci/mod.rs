//! CircleCI 2.1: `.circleci/config.yml`.
//!
//! The file and its orbs become [`package`]s of commands, executors and jobs. Each workflow's entries are then expanded
//! from the outside in: entry → job → executor, commands → steps, each in its own [`scope`]; what comes out goes
//! straight into the Plan. Elements that no workflow uses are expanded as well, with unknown arguments, so that their
//! mistakes are found too.
//!
//! | Room | What may go there |
//! |---|---|
//! | `package` | files, orbs, what they define |
//! | `parameter` | declarations, arguments, `<< … >>` |
//! | `condition` | logic statements, expressions, regular expressions |
//! | `element` | executors, steps, jobs |
//! | `workflow` | entries, matrix, filters, groups, the graph |
//! | `predefined` | `CIRCLE_…` variables |

mod compiler;
mod condition;
mod duration;
mod element;
mod form;
mod package;
mod parameter;
pub mod predefined;
mod read;
mod scope;
mod values;
mod workflow;

use tasuki_model::plan::{AutoCancel, Language, PLAN_VERSION, Plan};

use crate::{Mode, Session, Skip};
use compiler::Compiler;
pub(crate) use form::form;

/// One attempt: loads, checks, and makes the Plan of the pipeline that the context asks for.
pub(crate) fn compile(session: &Session<'_>) -> (Option<Plan>, Option<Skip>) {
    if session.mode == Mode::Create && asks_to_skip(&session.input.context.trigger) {
        return (None, Some(Skip::SkipRequested));
    }
    let Some(root) = package::read(session, session.input.file, session.input.text) else {
        return (None, None);
    };
    let Some(main) = package::load(session, &root) else {
        return (None, None);
    };
    let values = values::of(session, &root);
    if session.is_waiting() {
        return (None, None);
    }
    let compiler = Compiler::new(session, values);
    let mut workflows = compiler.workflows(&main, &root);
    compiler.check_unused(&main);
    if session.mode == Mode::Lint {
        return (None, None);
    }
    if package::is_setup(&root) {
        for job in workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
            job.continues = true;
        }
    }
    if workflows.is_empty() {
        return (None, Some(Skip::NoJobs));
    }
    let plan = Plan {
        version: PLAN_VERSION,
        language: Language::Circleci,
        name: None,
        workflows,
        auto_cancel: AutoCancel::default(),
    };
    (Some(plan), None)
}

/// `[skip ci]` or `[ci skip]` near the beginning of the commit's message; who starts a pipeline by hand means it.
fn asks_to_skip(trigger: &tasuki_model::trigger::Trigger) -> bool {
    use tasuki_model::trigger::Source;
    let pushed = matches!(trigger.source, Source::Push | Source::MergeRequestEvent);
    let begin: String = trigger.commit.message.chars().take(250).collect();
    pushed && (begin.contains("[skip ci]") || begin.contains("[ci skip]"))
}
