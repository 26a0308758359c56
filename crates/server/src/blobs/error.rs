//! What can go wrong with bytes.

use std::io;
use std::path::PathBuf;

/// What can go wrong with bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a key that the store takes.
    #[error("{0:?} is no key for stored bytes")]
    Key(String),
    /// Nothing is stored under the key.
    #[error("nothing is stored under {key}")]
    NotFound { key: String },
    /// The bytes are more than allowed; nothing was stored.
    #[error("more than the {limit} bytes that are allowed")]
    TooLarge { limit: u64 },
    /// The asked for range lies outside of the bytes.
    #[error("the range does not lie within the {size} bytes of {key}")]
    Range { key: String, size: u64 },
    /// What is stored is not what was stored.
    #[error("the bytes stored under {key} are damaged: {problem}")]
    Damaged { key: String, problem: String },
    /// The sender of the bytes failed; nothing was stored.
    #[error("the bytes could not be received")]
    Body(#[source] io::Error),
    /// The local folder failed.
    #[error("cannot use {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A backup goes into a folder of its own.
    #[error("{path} is not empty; give a new folder")]
    NotEmpty { path: PathBuf },
    /// The folder holds no finished backup.
    #[error("{path} holds no finished backup")]
    NoBackup { path: PathBuf },
    /// The object store could not be reached.
    #[error("the object store does not answer ({operation})")]
    Unreachable {
        operation: &'static str,
        #[source]
        source: reqwest::Error,
    },
    /// The object store refused.
    #[error("the object store answered {status} ({operation}): {message}")]
    Refused {
        operation: &'static str,
        status: u16,
        message: String,
    },
    /// The location of the store is not usable.
    #[error("blob_url: {problem}; write s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION")]
    Location { problem: String },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
    /// A worker thread ended early: the process is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Error {
    /// As the error of a stream of bytes.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Body(error) => error,
            other => io::Error::other(other),
        }
    }
}
