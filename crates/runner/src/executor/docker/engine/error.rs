//! What the engine refuses, and when it is not there.

/// A call's result.
pub(in crate::executor::docker) type Result<T> = std::result::Result<T, Error>;

/// A call to the engine failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::executor::docker) enum Error {
    /// The address of the configuration is none, or its certificates cannot be used.
    #[error("{message}")]
    Address { message: String },
    /// Nobody answers.
    #[error("the container engine at {address} does not answer")]
    Unreachable { address: String, source: reqwest::Error },
    /// It answers with an error.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// It answers with what is not its API.
    #[error("the container engine's answer to {call} is not understood")]
    Answer {
        call: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether what the call was about is not there.
    pub(in crate::executor::docker) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the engine's disk has no room.
    pub(in crate::executor::docker) fn is_full(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("no space left on device"))
    }

    /// Whether it is there, or going, already.
    pub(in crate::executor::docker) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409 | 304, .. })
    }
}
