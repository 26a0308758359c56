//! How a call of the runner protocol can fail.

use super::transport::TransportError;

/// A call that did not give what was asked for. The runner protocol's result classes: an HTTP status, -1 for a
/// generic failure, -100 where no request could be made.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server answered with a status that the call does not expect.
    #[error("the server answered {status}{} (request {request_id})", shown(message))]
    Status {
        status: u16,
        /// Flattened text of the error body; empty where it had none.
        message: String,
        /// The server's `X-Request-Id`, else the one that was sent: what to look for in the server's log.
        request_id: String,
    },
    /// The network failed, or the answer could not be read.
    #[error("the request failed")]
    Network(#[source] reqwest::Error),
    /// The server did not answer in time.
    #[error("the server did not answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The answer has not the media type that the call needs.
    #[error("the answer is {found:?} instead of application/json")]
    MediaType { found: String },
    /// The answer is not the JSON that the protocol promises.
    #[error("the answer cannot be decoded")]
    Decode(#[source] serde_json::Error),
    /// No client could be built, e.g. a TLS file is damaged.
    #[error("no client could be made")]
    Client(#[source] TransportError),
    /// The request could not be written down.
    #[error("the request cannot be encoded")]
    Encode(#[source] serde_json::Error),
}

fn shown(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl CallError {
    /// The class as one number: a status, -1 or -100.
    #[must_use]
    pub fn class(&self) -> i32 {
        match self {
            Self::Status { status, .. } => i32::from(*status),
            Self::Client(_) | Self::Encode(_) => -100,
            Self::Network(_) | Self::Timeout(_) | Self::MediaType { .. } | Self::Decode(_) => -1,
        }
    }

    /// Whether the server refused the token.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.class() == 403
    }

    /// Whether a request for work that ended so counts against the runner's health.
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        matches!(self.class(), 403 | -100)
    }
}
