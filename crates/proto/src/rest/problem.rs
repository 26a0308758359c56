//! Errors (RFC 9457).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Media type of an error answer.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Address of the page that explains this kind of error, or `about:blank`.
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    /// The kind of error, one phrase.
    pub title: String,
    pub status: u16,
    /// Stable word for programs, e.g. `not_found`, `invalid_token`, `config_invalid`.
    pub code: String,
    /// What is wrong here and how to put it right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Request id, to be found in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Of a pipeline that could not be made: the compiler's findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<super::Diagnostic>,
}

fn blank() -> String {
    "about:blank".to_owned()
}

/// A wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// JSON pointer into the body, or the name of the query parameter.
    pub field: String,
    pub message: String,
}

impl Problem {
    /// A problem with a code and a title.
    pub fn new(status: u16, code: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            kind: blank(),
            title: title.into(),
            status,
            code: code.into(),
            detail: None,
            instance: None,
            errors: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// The same with a sentence on this very case.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for error in &self.errors {
            write!(f, "; {}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}
