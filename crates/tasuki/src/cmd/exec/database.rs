//! The database of one run, in memory.

use anyhow::Context as _;
use tasuki_store::{DbUrl, Error, Store};
use tokio::sync::oneshot;

/// A database that is being made. Its tables take as long as all that comes before the engine needs them (the command line,
/// the configuration, the folders), so they are made meanwhile, on another processor.
pub(crate) struct Database(oneshot::Receiver<Result<Store, Error>>);

impl Database {
    /// # Errors
    /// No thread can be started.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let (send, opened) = oneshot::channel();
        // Nobody listens where the command line or the configuration was wrong.
        let work = move || drop(send.send(Store::open(&DbUrl::Memory)));
        let thread = std::thread::Builder::new().name("database".to_owned()).spawn(work);
        thread.context("cannot start a thread")?;
        Ok(Self(opened))
    }

    /// # Errors
    /// The database cannot be made.
    pub(super) async fn get(self) -> anyhow::Result<Store> {
        self.0.await?.context("the engine's database cannot be made")
    }
}
