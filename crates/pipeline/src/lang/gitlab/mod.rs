//! GitLab CI: `.gitlab-ci.yml`.
//!
//! [`load`] turns the files into one merged tree; the rooms beside it check the tree, evaluate its rules and
//! write the Plan.

pub mod duration;
pub mod expr;
pub mod glob;
pub mod load;
pub mod predefined;
pub mod slug;
pub mod variables;

use tasuki_model::plan::Plan;

use crate::{Session, Skip};

pub(crate) fn compile(session: &Session<'_>) -> (Option<Plan>, Option<Skip>) {
    let Some(_config) = load::load(session) else {
        return (None, None);
    };
    (None, None)
}
