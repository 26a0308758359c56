//! Reading: any range of a log, or from an offset on as it grows.

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use tasuki_model::id::TaskId;
use tasuki_store::logs::{self, Segment};
use tasuki_store::tasks;
use tokio::sync::watch;

use super::hub::Seen;
use super::{Error, Logs};

/// Bytes of a log that were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// Offset of the first byte.
    pub start: i64,
    pub bytes: Bytes,
    /// How long the log is.
    pub size: i64,
    /// It does not grow any more.
    pub finished: bool,
    /// It was written with debug tracing on: fewer people may read it.
    pub debug: bool,
}

impl Piece {
    /// Where to read on.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.start + i64::try_from(self.bytes.len()).unwrap_or(0)
    }
}

/// What a read of the database gives: everything but the bytes in the blob store.
struct Found {
    size: i64,
    finished: bool,
    debug: bool,
    segment: Option<Segment>,
    chunks: Vec<(i64, Vec<u8>)>,
}

/// Bytes that one read of chunks gives at most, about.
const READ: i64 = 1024 * 1024;

impl Logs {
    /// Reads bytes from `from` on: some (at most a few MiB) where there are any, none at the end.
    /// A log that does not exist is empty.
    ///
    /// # Errors
    /// When the database or the blob store fails.
    pub async fn read(&self, task: TaskId, from: i64) -> Result<Piece, Error> {
        let from = from.max(0);
        let found = self
            .shared
            .files
            .store()
            .read(move |tx| {
                let log = logs::get(tx, task)?;
                let finished = match &log {
                    Some(log) if log.finished => true,
                    _ => tasks::get(tx, task)?.is_none_or(|task| task.finished_ms.is_some()),
                };
                let Some(log) = log else {
                    return Ok(Found {
                        size: 0,
                        finished,
                        debug: false,
                        segment: None,
                        chunks: Vec::new(),
                    });
                };
                let segment = if from < log.sealed {
                    logs::segments(tx, task, from, from + 1)?.into_iter().next()
                } else {
                    None
                };
                let chunks = if from < log.sealed {
                    Vec::new()
                } else {
                    logs::chunks(tx, task, from, from + READ)?
                };
                Ok(Found {
                    size: log.size,
                    finished,
                    debug: log.debug,
                    segment,
                    chunks,
                })
            })
            .await?;
        let bytes = match found.segment {
            Some(segment) => {
                let start = segment.start;
                self.unpack(segment)
                    .await?
                    .slice(usize::try_from(from - start).unwrap_or(0)..)
            }
            None => join(found.chunks, from),
        };
        let Found {
            size, finished, debug, ..
        } = found;
        Ok(Piece {
            start: from,
            bytes,
            size,
            finished,
            debug,
        })
    }

    /// All bytes of a log from `from` on, piece by piece, as they are now.
    pub fn read_all(&self, task: TaskId, from: i64) -> crate::blobs::Body {
        let logs = self.clone();
        Box::pin(futures_util::stream::try_unfold(from, move |from| {
            let logs = logs.clone();
            async move {
                let piece = logs.read(task, from).await.map_err(std::io::Error::other)?;
                let end = piece.end();
                Ok((!piece.bytes.is_empty()).then_some((piece.bytes, end)))
            }
        }))
    }

    /// Follows a log from `from` on.
    #[must_use]
    pub fn tail(&self, task: TaskId, from: i64) -> Tail {
        let seen = self.shared.hub.live(task).seen.subscribe();
        Tail {
            logs: self.clone(),
            task,
            next: from.max(0),
            seen: Some(seen),
        }
    }

    async fn unpack(&self, segment: Segment) -> Result<Bytes, Error> {
        let damaged = Error::Damaged { start: segment.start };
        let packed: Bytes = match (segment.data, segment.blob_key) {
            (Some(data), _) => data.into(),
            (None, Some(key)) => {
                let content = self.shared.files.read(&key, None, None).await?;
                let gather = |mut all: BytesMut, piece: Bytes| async move {
                    all.extend_from_slice(&piece);
                    Ok(all)
                };
                content
                    .body
                    .try_fold(BytesMut::new(), gather)
                    .await
                    .map_err(Error::Receive)?
                    .freeze()
            }
            (None, None) => return Err(damaged),
        };
        let length = usize::try_from(segment.length).unwrap_or(0);
        let bytes = tokio::task::spawn_blocking(move || zstd::bulk::decompress(&packed, length))
            .await
            .map_err(|_| Error::Stopping)?;
        match bytes {
            Ok(bytes) if bytes.len() == length => Ok(bytes.into()),
            _ => Err(damaged),
        }
    }
}

/// The bytes of consecutive chunks from `from` on.
fn join(chunks: Vec<(i64, Vec<u8>)>, from: i64) -> Bytes {
    let mut all = BytesMut::new();
    for (start, data) in chunks {
        let skip = usize::try_from(from - start).unwrap_or(0).min(data.len());
        all.extend_from_slice(&data[skip..]);
    }
    all.freeze()
}

/// Follows a log. See [`Logs::tail`].
pub struct Tail {
    logs: Logs,
    task: TaskId,
    next: i64,
    /// Taken only when this is dropped.
    seen: Option<watch::Receiver<Seen>>,
}

impl Tail {
    /// The next bytes, as soon as there are any; `None` when the log is over and all of it was given. May be
    /// dropped while it waits: no byte is lost.
    ///
    /// # Errors
    /// When the database or the blob store fails; may be called again.
    pub async fn next(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            let Some(seen) = &mut self.seen else { return Ok(None) };
            // What comes from here on wakes us again, even if this read misses it.
            seen.mark_unchanged();
            let piece = self.logs.read(self.task, self.next).await?;
            if !piece.bytes.is_empty() {
                self.next = piece.end();
                return Ok(Some(piece));
            }
            if piece.finished {
                return Ok(None);
            }
            if seen.changed().await.is_err() {
                // Its place in the hub is gone, which a new one may have taken.
                *seen = self.logs.shared.hub.live(self.task).seen.subscribe();
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.seen = None;
        self.logs.shared.hub.leave(self.task);
    }
}
