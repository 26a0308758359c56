//! Why the server did not start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] crate::config::Error),
    #[error("cannot make the data folder {path}")]
    DataDir {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use the database")]
    Store(#[from] tasuki_store::Error),
    #[error("cannot listen on {address}; choose another one with `listen`")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the scheduler cannot start")]
    Scheduler(#[from] crate::scheduler::Error),
    #[error("cannot use the store of artifacts")]
    Blobs(#[from] crate::blobs::Error),
    #[error("cannot use the keys of encrypted values")]
    Keys(#[from] crate::secrets::Error),
    #[error("cannot take up the projects")]
    Triggers(#[from] crate::triggers::Error),
    #[error("cannot use git")]
    Git(#[from] crate::git::Error),
    #[error("cannot prepare the administrator's token")]
    Admin(#[from] crate::identity::AdminError),
    #[error("a thread of the store ended unexpectedly")]
    Thread,
}
