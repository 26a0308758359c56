//! Diagnostics: what is wrong, where, by which way the compiler got there, and what to do about it.
//!
//! Inside the compiler a finding is a [`Problem`] with a [`Span`]; at the end it becomes a [`Diagnostic`] with
//! file name and position, ready to be printed ([`human`]), stored, or handed to other tools
//! ([`sarif`], [`code_quality`], [`github`]). Every kind of finding has a [`Code`] with an explanation; the reference of
//! all errors is generated from [`codes`].

pub mod code;
mod human;
mod machine;
mod suggest;

use serde::Serialize;

pub use code::{Code, codes};
pub use human::{Colour, Excerpts, human};
pub use machine::{code_quality, github, reference, sarif};
pub use suggest::{did_you_mean, reshaped};

use crate::yaml::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// No pipeline can be made.
    Error,
    /// Works, but probably not as meant.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The word used in all outputs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A finding as it leaves the compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable name of the kind of finding, e.g. `gitlab-unknown-key`.
    pub code: &'static str,
    pub message: String,
    /// Path as it was given or included.
    pub file: String,
    /// From 1; 0 where no line is to blame.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Characters that are meant, on the line.
    pub length: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How the compiler got there, nearest first: "included from .gitlab-ci.yml:3:5", "extended by job `test`".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trail: Vec<String>,
}

impl Diagnostic {
    /// Whether it stands in the way of a pipeline.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Words that a hint lists, at most.
const MOST_LISTED: usize = 12;

/// A finding with a place in the tree. See [`Session::report`](crate::Session::report).
#[derive(Debug, Clone)]
pub struct Problem {
    pub code: &'static Code,
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
    pub trail: Vec<String>,
}

impl Problem {
    /// A finding without hint and trail.
    #[must_use]
    pub fn new(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            span,
            message: message.into(),
            hint: None,
            trail: Vec::new(),
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a "did you mean" for a word that is not one of `known`, where one is near enough.
    #[must_use]
    pub fn suggest<'a>(mut self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(near) = did_you_mean(word, known) {
            self.hint = Some(format!("did you mean `{near}`?"));
        }
        self
    }

    /// Where nothing is suggested: all that is known, `what` in front, if that is not too much to read.
    #[must_use]
    pub fn or_list<T: std::fmt::Display>(mut self, what: &str, known: impl IntoIterator<Item = T>) -> Self {
        if self.hint.is_none() {
            let known: Vec<String> = known
                .into_iter()
                .take(MOST_LISTED + 1)
                .map(|one| one.to_string())
                .collect();
            if known.len() <= MOST_LISTED {
                self.hint = Some(format!("{what} {}", known.join(", ")));
            }
        }
        self
    }

    /// With one more step of how the compiler got there, nearest first.
    #[must_use]
    pub fn via(mut self, step: impl Into<String>) -> Self {
        self.trail.push(step.into());
        self
    }
}
