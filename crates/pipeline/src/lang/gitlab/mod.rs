//! GitLab CI: `.gitlab-ci.yml`.
//!
//! [`load`] turns the files into one merged tree; the rooms beside it check the tree, evaluate its rules and
//! write the Plan.

pub mod duration;
mod entry;
pub mod expr;
pub mod glob;
pub mod load;
pub mod predefined;
mod seed;
pub mod slug;
pub mod variables;

pub(crate) use load::form;
use tasuki_model::plan::Plan;

use crate::{Mode, Session, Skip};

/// One attempt: loads, checks, and makes the Plan of the pipeline that the context asks for.
pub(crate) fn compile(session: &Session<'_>) -> (Option<Plan>, Option<Skip>) {
    let creates = session.mode == Mode::Create;
    if creates && seed::skip_is_requested(&session.input.context.trigger) {
        return (None, Some(Skip::SkipRequested));
    }
    let Some(config) = load::load(session) else {
        return (None, None);
    };
    // What could not be included or extended would be missed everywhere below: only what is wrong in itself is told.
    let whole = session.errors() == 0;
    let definition = entry::read(session, &config);
    if creates && whole {
        return seed::create(session, &definition);
    }
    if whole {
        seed::check(session, &definition);
    }
    (None, None)
}
