//! What all pages share.

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;

use super::assets;
use crate::http::error::{Code, Problem};
use crate::identity::{Access, Caller};

/// The surroundings of a page.
pub(super) struct Frame {
    /// Which part of the navigation is here.
    pub(super) at: &'static str,
    /// The stream that tells when parts of the page must be read again.
    pub(super) events: Option<String>,
    pub(super) may_write: bool,
}

impl Frame {
    /// A page that `caller` sees.
    pub(super) fn new(at: &'static str, caller: &Caller) -> Self {
        Self {
            at,
            events: None,
            may_write: caller.access >= Access::Write,
        }
    }

    /// The same, told of changes by that stream.
    pub(super) fn live(mut self, events: impl Into<String>) -> Self {
        self.events = Some(events.into());
        self
    }

    /// Where a file is, with its version.
    #[expect(clippy::unused_self, reason = "templates call it on the frame that they have")]
    pub(super) fn asset(&self, name: &str) -> &'static str {
        assets::address(name)
    }
}

/// A page as answer.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(failed) => problem(Problem::internal(&failed)),
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    title: &'static str,
    detail: String,
    diagnostics: Vec<String>,
}

/// A problem as a page for people.
pub(super) fn problem(problem: Problem) -> Response {
    let page = ProblemPage {
        frame: Frame::new("", &Caller::nobody()),
        title: problem.code.title(),
        detail: problem.detail,
        diagnostics: problem
            .diagnostics
            .iter()
            .map(|d| format!("{}:{}:{}: {}", d.file, d.line, d.column, d.message))
            .collect(),
    };
    let status = problem.code.status();
    page.render().map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |html| (status, Html(html)).into_response(),
    )
}

/// A problem that handlers of pages may return with `?`.
pub(super) struct PageProblem(Problem);

impl<E: Into<Problem>> From<E> for PageProblem {
    fn from(problem: E) -> Self {
        Self(problem.into())
    }
}

impl axum::response::IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        problem(self.0)
    }
}

/// How handlers of pages end.
pub(super) type Result<T = Response> = std::result::Result<T, PageProblem>;

/// Nothing of that name.
pub(super) fn not_found(what: &str) -> PageProblem {
    PageProblem(Problem::new(
        Code::NotFound,
        format!("There is no such {what}; it may have been removed."),
    ))
}
