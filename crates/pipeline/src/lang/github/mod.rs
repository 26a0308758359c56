//! GitHub Actions: not supported yet, and says so.

use tasuki_model::plan::Plan;

use crate::diag::{Problem, code};
use crate::yaml::{FileId, Span};
use crate::{Session, Skip};

pub(crate) fn compile(session: &Session<'_>) -> (Option<Plan>, Option<Skip>) {
    let span = Span::start_of(FileId::default());
    let message = "GitHub Actions configurations are not supported yet";
    session.report(
        Problem::new(&code::UNSUPPORTED, span, message)
            .hint("GitLab CI is: write a `.gitlab-ci.yml`, or pass `--lang gitlab`"),
    );
    (None, None)
}
