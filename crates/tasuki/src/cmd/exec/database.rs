//! The database of one run, in memory.

use anyhow::Context as _;
use tasuki_store::{DbUrl, Error, Store};
use tokio::sync::oneshot;

/// A database that is being made. Its tables take as long as all that comes before the engine needs them (the command line,
/// the configuration, what git says of the folder), so they are made meanwhile, on another processor.
pub(super) struct Database(oneshot::Receiver<Result<Store, Error>>);

impl Database {
    pub(super) fn open() -> Self {
        let (send, opened) = oneshot::channel();
        // Nobody listens where the command line or the configuration was wrong.
        std::thread::spawn(move || drop(send.send(Store::open(&DbUrl::Memory))));
        Self(opened)
    }

    /// # Errors
    /// The database cannot be made.
    pub(super) async fn get(self) -> anyhow::Result<Store> {
        self.0.await?.context("the engine's database cannot be made")
    }
}
