//! The seam between the server and where bytes are kept.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tasuki_model::time::Timestamp;
use url::Url;

use super::{Error, Key};

/// Bytes on their way, in pieces of any size.
pub type Body = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
}

/// Bytes that are read back.
pub struct Content {
    /// All bytes that are stored under the key.
    pub size: u64,
    /// Which of them `body` gives.
    pub range: Range<u64>,
    pub body: Body,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("size", &self.size)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// A place where bytes are kept under keys.
///
/// Contract, which the conformance suite checks of every implementation:
/// - `put` answers once the bytes are durable and complete; a reader sees all of them or nothing, also after a
///   crash in the middle. Putting again under the same key replaces what was there, just as whole. A body that
///   fails or is longer than `limit` leaves what was there.
/// - `get` never gives wrong bytes without an error: it knows what was put (`sha256`, as `put` gave it), and a
///   body that turns out to be damaged ends in an error before its last piece.
/// - `remove` of a key that has nothing is no error.
/// - Any number of calls may be under way at the same time, for the same key too. A call that is dropped leaves
///   nothing that is not cleaned up later.
/// - No call holds more than a few MiB, however large the bytes are.
#[async_trait::async_trait]
pub trait BlobStore: Send + Sync + std::fmt::Debug {
    /// Stores `body` under `key`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Body`], or what is wrong with the store.
    async fn put(&self, key: &Key, body: Body, limit: u64) -> Result<Stored, Error>;

    /// Reads what is stored under `key`: all of it, or the bytes of `range` (whose end may lie behind the
    /// last byte). `sha256` is that of all the bytes, where the caller knows it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Range`], [`Error::Damaged`], or what is wrong with the store.
    async fn get(&self, key: &Key, range: Option<Range<u64>>, sha256: Option<&str>) -> Result<Content, Error>;

    /// How many bytes are stored under `key`.
    ///
    /// # Errors
    /// What is wrong with the store.
    async fn size(&self, key: &Key) -> Result<Option<u64>, Error>;

    /// Deletes what is stored under `key`.
    ///
    /// # Errors
    /// What is wrong with the store.
    async fn remove(&self, key: &Key) -> Result<(), Error>;

    /// Cleans up after calls that never ended, where that takes more than [`BlobStore::remove`].
    ///
    /// # Errors
    /// What is wrong with the store.
    async fn sweep(&self, now: Timestamp) -> Result<(), Error>;

    /// A URL that gives the bytes to whoever has it, until `lifetime` is over; `None` where the store cannot.
    fn presigned_get(&self, key: &Key, now: Timestamp, lifetime: Duration) -> Option<Url>;

    /// A URL that takes bytes from whoever has it, until `lifetime` is over; `None` where the store cannot.
    /// Nobody has checked them then: ask for their `size` after, and read them once for their digest.
    fn presigned_put(&self, key: &Key, now: Timestamp, lifetime: Duration) -> Option<Url>;
}

/// A body of bytes that are in memory.
#[must_use]
pub fn body_of(bytes: impl Into<Bytes>) -> Body {
    let bytes: Bytes = bytes.into();
    Box::pin(stream::iter((!bytes.is_empty()).then_some(Ok(bytes))))
}

/// The part of `size` bytes that `range` asks for.
pub(super) fn clamp(key: &Key, range: Option<Range<u64>>, size: u64) -> Result<Range<u64>, Error> {
    let Some(range) = range else { return Ok(0..size) };
    let clamped = range.start..range.end.min(size);
    // Asking for nothing at the very end is a question that has an answer.
    if clamped.start > clamped.end || (clamped.start == size && size > 0 && range.end > range.start) {
        return Err(Error::Range {
            key: key.to_string(),
            size,
        });
    }
    Ok(clamped)
}
