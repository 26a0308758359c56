//! The kinds of runtime. Commands and the runner use one thread, the server two or more.

use std::future::Future;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// Runs a command to its end on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

/// The server's runtime: a worker for each core, at least two.
pub(crate) fn server_runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .max(2);
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(cores)
        .thread_name("server")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
