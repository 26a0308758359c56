//! A fresh database for one test.

use tasuki_model::time::Timestamp;
use tasuki_store::{DbUrl, Result, Store, Tx};

/// A fresh database for one test.
pub(crate) struct Database {
    pub(crate) url: DbUrl,
    _folder: Option<tempfile::TempDir>,
}

/// A time for tests that do not care which.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

impl Database {
    pub(crate) fn memory() -> Self {
        Self {
            url: DbUrl::Memory,
            _folder: None,
        }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: DbUrl::sqlite(&folder.path().join("test.db")),
            _folder: Some(folder),
        }
    }

    /// `None` when there is no server, which was said on stderr then.
    pub(crate) fn postgres() -> Option<Self> {
        let url = crate::postgres_server::new_database()?;
        Some(Self {
            url: url.parse().unwrap(),
            _folder: None,
        })
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.url).unwrap()
    }
}

/// Writes, and expects it to work.
#[track_caller]
pub(crate) fn write<T: Send + 'static>(
    store: &Store,
    body: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
) -> T {
    store.write_blocking(body).unwrap()
}

/// Reads, and expects it to work.
#[track_caller]
pub(crate) fn read<T: Send + 'static>(
    store: &Store,
    body: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
) -> T {
    store.read_blocking(body).unwrap()
}
