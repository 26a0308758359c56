//! Who follows which log, and where logs stand that are being written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tasuki_model::id::TaskId;
use tokio::sync::watch;

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    pub(super) size: i64,
    /// CRC-32 over all bytes.
    pub(super) crc: u32,
    pub(super) sealed: i64,
    pub(super) limited: bool,
    pub(super) debug: bool,
}

/// What followers are told. Each difference wakes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) size: i64,
    pub(super) ended: bool,
    /// Counts the times when something may have been missed.
    pub(super) round: u64,
}

/// A log that is being written or followed.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Appends of one log go one by one; what is known here saves reading it each time. `None`: ask the database.
    pub(super) position: tokio::sync::Mutex<Option<Position>>,
    pub(super) seen: watch::Sender<Seen>,
}

impl Live {
    pub(super) fn grow(&self, size: i64) {
        self.seen.send_if_modified(|seen| {
            let grew = size > seen.size;
            seen.size = seen.size.max(size);
            grew
        });
    }
}

/// All logs that are being written or followed here.
#[derive(Debug, Default)]
pub(super) struct Hub {
    live: Mutex<HashMap<TaskId, Arc<Live>>>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log's place here, made where there is none.
    pub(super) fn live(&self, task: TaskId) -> Arc<Live> {
        Arc::clone(self.lock().entry(task).or_default())
    }

    /// Where the log stands as far as it was written through this server and nobody writes to it right now.
    pub(super) fn position(&self, task: TaskId) -> Option<Position> {
        let all = self.lock();
        *all.get(&task)?.position.try_lock().ok()?
    }

    pub(super) fn is_watched(&self, task: TaskId) -> bool {
        self.lock()
            .get(&task)
            .is_some_and(|live| live.seen.receiver_count() > 0)
    }

    /// The log has grown to `size`.
    pub(super) fn grow(&self, task: TaskId, size: i64) {
        if let Some(live) = self.lock().get(&task) {
            live.grow(size);
        }
    }

    /// The log is over: followers read the rest and go.
    pub(super) fn end(&self, task: TaskId) {
        if let Some(live) = self.lock().remove(&task) {
            live.seen.send_modify(|seen| seen.ended = true);
        }
    }

    /// Hints may have been missed: followers look again.
    pub(super) fn look_again(&self) {
        for live in self.lock().values() {
            live.seen.send_modify(|seen| seen.round += 1);
        }
    }

    /// A follower has gone. Forgets logs that nobody writes to here and nobody else follows.
    pub(super) fn leave(&self, task: TaskId) {
        let mut all = self.lock();
        let idle = all.get(&task).is_some_and(|live| {
            live.seen.receiver_count() == 0 && live.position.try_lock().is_ok_and(|position| position.is_none())
        });
        if idle {
            all.remove(&task);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}
