//! Errors of our own API as `application/problem+json` (RFC 9457) with stable codes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tasuki_proto::rest::{self, Diagnostic, FieldError};

use crate::{scheduler, secrets, triggers};

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, for programs: names never change, new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($variant,)* }

        impl Code {
            /// All codes, for the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the answer.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", BAD_REQUEST, "The request cannot be understood";
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "A value is not acceptable";
    InvalidConfig = "invalid_config", UNPROCESSABLE_ENTITY, "The CI configuration is invalid";
    NoPipeline = "no_pipeline", UNPROCESSABLE_ENTITY, "The configuration makes no pipeline here";
    Unauthorized = "unauthorized", UNAUTHORIZED, "A valid token is needed";
    Forbidden = "forbidden", FORBIDDEN, "The token does not allow this";
    CsrfRejected = "csrf_rejected", FORBIDDEN, "The request did not come from a page of this server";
    NotFound = "not_found", NOT_FOUND, "There is no such thing here";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "This address does not answer to this method";
    Conflict = "conflict", CONFLICT, "The present state does not allow this";
    IdempotencyMismatch = "idempotency_mismatch", CONFLICT, "The idempotency key was used for another request";
    Gone = "gone", GONE, "It was removed";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "The request is too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is of a kind that is not understood here";
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE, "The range lies outside";
    UpgradeRequired = "upgrade_required", UPGRADE_REQUIRED, "The connection has to change to another protocol";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    Internal = "internal", INTERNAL_SERVER_ERROR, "The server failed";
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE, "The server is shutting down";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "A part of the server is not available now";
    RunnerSilent = "runner_silent", GATEWAY_TIMEOUT, "The runner did not come in time";
}

/// An answer that says why not.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// The case at hand, with the remedy where there is one.
    pub detail: String,
    /// The fields of the request that are wrong.
    pub fields: Vec<FieldError>,
    /// Of a pipeline that could not be made: the compiler's findings.
    pub diagnostics: Vec<Diagnostic>,
    /// Seconds until it is worth trying again.
    pub retry_after_s: Option<u64>,
}

/// How a handler of our own API ends.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A problem of this kind with its circumstances.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            diagnostics: Vec::new(),
            retry_after_s: None,
        }
    }

    /// Nothing of that name (or nothing that the caller may know of).
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} was not found"))
    }

    /// A field of the request whose value is not acceptable.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut problem = Self::new(Code::Invalid, format!("{field}: {message}"));
        problem.fields.push(FieldError { field, message });
        problem
    }

    /// Something of ours failed. The cause goes to the log, never to the caller.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), "a request failed");
        Self::new(Code::Internal, "the cause is in the server's log under this request id")
    }
}

impl From<tasuki_store::Error> for Problem {
    fn from(failed: tasuki_store::Error) -> Self {
        match &failed {
            tasuki_store::Error::Closed => Self::new(Code::ShuttingDown, ""),
            tasuki_store::Error::Unavailable(_) | tasuki_store::Error::Contended => {
                tracing::warn!(error = %Chain(&failed), "the database did not answer");
                let mut problem = Self::new(Code::Unavailable, "the database is out of reach or busy");
                problem.retry_after_s = Some(1);
                problem
            }
            _ => Self::internal(&failed),
        }
    }
}

impl From<scheduler::Error> for Problem {
    fn from(failed: scheduler::Error) -> Self {
        match failed {
            scheduler::Error::Store(failed) => failed.into(),
            scheduler::Error::NotFound { what, id } => Self::not_found(format!("{what} {id}")),
            scheduler::Error::Refused(refused) => Self::new(Code::Conflict, refused.to_string()),
            scheduler::Error::Stale => {
                let mut problem = Self::new(Code::Conflict, "somebody else changed it at the same time");
                problem.retry_after_s = Some(1);
                problem
            }
            other => Self::internal(&other),
        }
    }
}

impl From<triggers::Error> for Problem {
    fn from(failed: triggers::Error) -> Self {
        match failed {
            triggers::Error::Store(failed) => failed.into(),
            triggers::Error::Scheduler(failed) => failed.into(),
            triggers::Error::NoRef(_) => Self::invalid("ref", failed.to_string()),
            triggers::Error::Empty | triggers::Error::NoFolder(_) => Self::new(Code::NoPipeline, failed.to_string()),
            triggers::Error::Git(failed) => {
                tracing::warn!(error = %Chain(&failed), "a repository could not be read");
                Self::new(Code::Unavailable, format!("the repository could not be read: {failed}"))
            }
            other => Self::internal(&other),
        }
    }
}

impl From<secrets::Error> for Problem {
    fn from(failed: secrets::Error) -> Self {
        match failed {
            secrets::Error::Store(failed) => failed.into(),
            other => Self::internal(&other),
        }
    }
}

/// An error with all its causes on one line, for the log.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut body = rest::Problem::new(status.as_u16(), self.code.as_str(), self.code.title());
        body.detail = (!self.detail.is_empty()).then_some(self.detail);
        body.errors = self.fields;
        body.diagnostics = self.diagnostics;
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(rest::PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
