//! Asking servers for work: capacity first, then the request, then the job.
//!
//! A job is never fetched without a place for it: `limit` of the runner, `concurrent` of the process and a request slot
//! are taken before the server is asked. A server that holds requests (tasuki) is asked again at once, another
//! after `check_interval`. A runner whose token is refused three times rests for an hour.

mod adaptive;
mod entry;
mod executors;
mod gate;
mod health;
mod pool;
mod reload;
mod slots;

pub use executors::{Defaults, ExecutorFactory, executors};
pub(crate) use pool::client;
pub use pool::{Pool, PoolOptions, Reload};
pub(crate) use reload::datetime;

/// A pool cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    #[error("no runner can be started: {0}")]
    NoRunner(String),
    #[error("cannot make the folder {}", path.display())]
    Folder {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
}
