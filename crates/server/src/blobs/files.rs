//! Bytes together with what the database knows of them.

use std::sync::Arc;
use std::time::Duration;

use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;
use tasuki_store::{Store, Tx, blobs};

use super::{BlobStore, Body, Content, Error, Key};

/// How long an upload may take before its bytes count as orphaned.
const UPLOAD: Duration = Duration::from_secs(24 * 3600);

/// Stores bytes so that no crash leaves any that nothing names.
#[derive(Debug, Clone)]
pub struct Files {
    store: Store,
    blobs: Arc<dyn BlobStore>,
    clock: Clock,
}

/// Bytes that are stored but that no record names yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// As records hold it.
    pub blob_key: String,
    /// Bytes.
    pub size: i64,
    /// Hex.
    pub sha256: String,
}

impl Upload {
    /// To be called in the transaction that makes the record, before it: from then on the bytes are kept.
    ///
    /// # Errors
    /// [`tasuki_store::Error::Missing`] when they were deleted because the upload took too long.
    pub fn keep(&self, tx: &mut Tx<'_>) -> tasuki_store::Result<()> {
        if blobs::keep(tx, &self.blob_key)? {
            Ok(())
        } else {
            Err(tasuki_store::Error::Missing { what: "upload", id: 0 })
        }
    }
}

impl Files {
    #[must_use]
    pub fn new(store: Store, blobs: Arc<dyn BlobStore>, clock: Clock) -> Self {
        Self { store, blobs, clock }
    }

    /// Where the bytes are.
    #[must_use]
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.blobs
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Notes that bytes are about to be stored under a new key of `area` (`artifacts`, `caches`, `logs`):
    /// unless a record names them within a day, they are deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reserve(&self, area: &str) -> Result<Key, Error> {
        let key = Key::random(area)?;
        let (text, due) = (key.as_str().to_owned(), self.now().after(UPLOAD));
        self.store.write(move |tx| blobs::discard(tx, &[&text], due)).await?;
        Ok(key)
    }

    /// Stores `body`, at most `limit` bytes of it. The caller makes the record (see [`Upload::keep`]) or
    /// leaves it: the bytes go by themselves then.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Body`], or what is wrong with the store; nothing is kept then.
    pub async fn upload(&self, area: &str, body: Body, limit: u64) -> Result<Upload, Error> {
        let key = self.reserve(area).await?;
        match self.blobs.put(&key, body, limit).await {
            Ok(stored) => Ok(Upload {
                blob_key: key.as_str().to_owned(),
                size: i64::try_from(stored.size).unwrap_or(i64::MAX),
                sha256: stored.sha256,
            }),
            Err(error) => {
                self.discard(&key).await;
                Err(error)
            }
        }
    }

    /// Lets go of bytes that no record names: they are deleted soon.
    pub async fn discard(&self, key: &Key) {
        let (text, now) = (key.as_str().to_owned(), self.now());
        if let Err(error) = self.store.write(move |tx| blobs::discard(tx, &[&text], now)).await {
            // They go a day later.
            tracing::warn!(%error, %key, "bytes that are not needed could not be marked");
        }
    }

    /// Reads what a record names.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Range`], [`Error::Damaged`], or what is wrong with the store.
    pub async fn read(
        &self,
        blob_key: &str,
        range: Option<std::ops::Range<u64>>,
        sha256: Option<&str>,
    ) -> Result<Content, Error> {
        self.blobs.get(&Key::new(blob_key)?, range, sha256).await
    }
}
