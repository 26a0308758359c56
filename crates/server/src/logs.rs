//! Job logs: append at a byte offset, read whole, follow live.
//!
//! A log is bytes, appended by the runner in pieces that may come twice. The newest bytes are rows of the
//! database; once they are many, or the log is over, they are sealed: packed with zstd, small ones back
//! into the database, large ones into the blob store. Whoever follows a log is woken by each piece.

mod append;
mod error;
mod hub;
mod read;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tasuki_model::id::TaskId;
use tasuki_model::time::Timestamp;
use tasuki_rt::{Clock, Tasks};
use tasuki_store::{Notification, logs};
use tokio::sync::Notify;

use crate::blobs::Files;
use hub::Hub;

pub use append::{Appended, Patch};
pub use error::Error;
pub use read::{Piece, Tail};

/// Topic of the hint to other servers that a log has grown: `<task> <size>`.
const GREW: &str = "log-grew";

/// The logs of all tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Files,
    clock: Clock,
    /// Bytes of one log.
    limit: u64,
    hub: Hub,
    /// There is something to seal.
    ripe: Notify,
    /// Logs that still grow and have enough for a segment.
    ripening: Mutex<BTreeSet<TaskId>>,
}

impl Logs {
    /// Starts what works in the background: passing on hints and sealing. `limit` is how many bytes one log
    /// may have.
    #[must_use]
    pub fn start(tasks: &Tasks, files: Files, clock: Clock, limit: u64) -> Self {
        let shared = Shared {
            files,
            clock,
            limit,
            hub: Hub::default(),
            ripe: Notify::new(),
            ripening: Mutex::default(),
        };
        let logs = Self {
            shared: Arc::new(shared),
        };
        logs.listen(tasks);
        logs.start_sealer(tasks);
        logs
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.shared.clock.now_ms())
    }

    /// Whether somebody follows this log here: then the runner should send what it has often.
    #[must_use]
    pub fn is_watched(&self, task: TaskId) -> bool {
        self.shared.hub.is_watched(task)
    }

    fn listen(&self, tasks: &Tasks) {
        let logs = self.clone();
        let (mut hints, stop) = (logs.shared.files.store().notifications(), tasks.token());
        tasks.spawn("log-hints", async move {
            loop {
                let hint = tokio::select! {
                    hint = hints.next() => hint,
                    () = stop.cancelled() => return,
                };
                let Some(hint) = hint else { return };
                logs.take_hint(&hint);
            }
        });
    }

    fn take_hint(&self, hint: &Notification) {
        let hub = &self.shared.hub;
        match hint.topic.as_str() {
            logs::ENDED => {
                if let Ok(task) = hint.payload.parse() {
                    hub.end(task);
                    self.shared.ripe.notify_one();
                }
            }
            GREW => {
                let parsed = hint
                    .payload
                    .split_once(' ')
                    .map(|(task, size)| (task.parse(), size.parse()));
                if let Some((Ok(task), Ok(size))) = parsed {
                    hub.grow(task, size);
                }
            }
            Notification::RESYNC => hub.look_again(),
            _ => {}
        }
    }
}
