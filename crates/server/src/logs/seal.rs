//! Packing what is old: a log at rest takes up a tenth or less of its bytes.

use std::time::Duration;

use bytes::Bytes;
use tasuki_model::id::TaskId;
use tasuki_rt::Tasks;
use tasuki_store::logs::{self, Log, NewSegment, Packed};

use super::hub::Position;
use super::{Error, Logs};
use crate::blobs::body_of;

/// Bytes of log in one segment, about: chunks are not cut.
const SEGMENT: i64 = 4 * 1024 * 1024;
/// zstd's level: about 100 MB/s on one core.
const LEVEL: i32 = 6;
/// Pause between two rounds that were woken, so that many small logs make few rounds.
const GATHER: Duration = Duration::from_millis(500);
/// Rounds that nothing woke: what another server left when it died.
const IDLE: Duration = Duration::from_secs(60);
/// Logs that one query gives.
const BATCH: u32 = 50;

/// Whether enough has gathered for a segment while the log still grows.
pub(super) fn is_ripe(at: &Position) -> bool {
    // Grows past another multiple: then once, not with every piece.
    at.size - at.sealed >= SEGMENT
}

impl Logs {
    pub(super) fn start_sealer(&self, tasks: &Tasks) {
        let (logs, stop) = (self.clone(), tasks.token());
        tasks.spawn("log-sealer", async move {
            loop {
                if let Err(error) = logs.seal_finished().await {
                    tracing::warn!(%error, "logs could not be packed; trying again");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(IDLE) => {}
                    () = logs.shared.ripe.notified() => {
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(GATHER) => {}
                        }
                    }
                }
            }
        });
    }

    /// A log that still grows has enough for a segment.
    pub(super) fn ripen(&self, task: TaskId) {
        self.shared
            .ripening
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(task);
        self.shared.ripe.notify_one();
    }

    /// Seals what is worth it: long logs that still grow, and all that are over.
    ///
    /// # Errors
    /// When the database or the blob store fails; what was sealed until then stays so.
    pub(super) async fn seal_finished(&self) -> Result<(), Error> {
        let ripening = std::mem::take(
            &mut *self
                .shared
                .ripening
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for task in ripening {
            let log = self.shared.files.store().read(move |tx| logs::get(tx, task)).await?;
            if let Some(log) = log {
                self.seal(&log).await?;
            }
        }
        loop {
            let found = self.shared.files.store().read(|tx| logs::unsealed(tx, BATCH)).await?;
            for log in &found {
                self.seal(log).await?;
            }
            if found.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    /// Seals a log as far as it goes: whole segments, and the rest where it is over.
    async fn seal(&self, log: &Log) -> Result<(), Error> {
        let mut start = log.sealed;
        while log.size - start >= if log.finished { 1 } else { SEGMENT } {
            let Some(raw) = self.gather(log, start).await? else {
                return Ok(());
            };
            let length = i64::try_from(raw.len()).unwrap_or(i64::MAX);
            let packed = tokio::task::spawn_blocking(move || pack(&raw))
                .await
                .map_err(|_| Error::Stopping)??;
            if !self.store_segment(log.task_id, start, length, packed).await? {
                // Another server was faster.
                return Ok(());
            }
            start += length;
        }
        Ok(())
    }

    /// The bytes of the next segment: whole chunks.
    async fn gather(&self, log: &Log, start: i64) -> Result<Option<Vec<u8>>, Error> {
        let (task, size) = (log.task_id, log.size);
        let chunks = self
            .shared
            .files
            .store()
            .read(move |tx| logs::chunks(tx, task, start, size.min(start + SEGMENT)))
            .await?;
        if chunks.first().is_none_or(|(first, _)| *first != start) {
            // It was sealed or erased since we looked.
            return Ok(None);
        }
        Ok(Some(chunks.into_iter().flat_map(|(_, data)| data).collect()))
    }

    async fn store_segment(&self, task: TaskId, start: i64, length: i64, packed: Vec<u8>) -> Result<bool, Error> {
        let store = self.shared.files.store();
        let sealed = if length < SEGMENT {
            store
                .write(move |tx| {
                    logs::seal(
                        tx,
                        task,
                        &NewSegment {
                            start,
                            length,
                            content: Packed::Inline(&packed),
                        },
                    )
                })
                .await?
        } else {
            let upload = self
                .shared
                .files
                .upload("logs", body_of(Bytes::from(packed)), u64::MAX)
                .await?;
            store
                .write(move |tx| {
                    let content = Packed::Blob {
                        key: &upload.blob_key,
                        size: upload.size,
                    };
                    let sealed = logs::seal(tx, task, &NewSegment { start, length, content })?;
                    if sealed {
                        upload.keep(tx)?;
                    }
                    Ok(sealed)
                })
                .await?
        };
        if sealed && let Some(position) = self.shared.hub.live(task).position.lock().await.as_mut() {
            position.sealed = position.sealed.max(start + length);
        }
        self.shared.hub.leave(task);
        Ok(sealed)
    }
}

fn pack(raw: &[u8]) -> Result<Vec<u8>, Error> {
    use zstd::zstd_safe::CParameter;
    let mut packer = zstd::bulk::Compressor::new(LEVEL).map_err(Error::Pack)?;
    // Damage is noticed when it is unpacked.
    packer
        .set_parameter(CParameter::ChecksumFlag(true))
        .map_err(Error::Pack)?;
    packer.compress(raw).map_err(Error::Pack)
}
