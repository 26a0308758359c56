//! Until when each task's runner is believed to live. In memory; signs of life are written in batches.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use tasuki_model::id::TaskId;
use tasuki_model::time::Timestamp;

use super::cache::lock;

/// All leases that this server knows.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    of: HashMap<TaskId, Lease>,
    by_time: BTreeSet<(Timestamp, TaskId)>,
    /// Signs of life that are not written yet.
    seen: HashMap<TaskId, Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    expires: Timestamp,
    length: Duration,
}

impl Leases {
    /// The task has a lease until `expires`; each contact renews it by `length`.
    pub(super) fn set(&self, task: TaskId, expires: Timestamp, length: Duration) {
        let mut inner = lock(&self.0);
        inner.forget(task);
        inner.of.insert(task, Lease { expires, length });
        inner.by_time.insert((expires, task));
    }

    /// The task has no lease any more.
    pub(super) fn remove(&self, task: TaskId) {
        let mut inner = lock(&self.0);
        inner.forget(task);
        inner.seen.remove(&task);
    }

    /// A sign of life. `false`: no such lease is known here.
    pub(super) fn touch(&self, task: TaskId, now: Timestamp) -> bool {
        let mut inner = lock(&self.0);
        let Some(lease) = inner.of.get(&task).copied() else {
            return false;
        };
        // A clock that jumped back shortens nothing.
        let expires = lease.expires.max(now.after(lease.length));
        inner.forget(task);
        inner.of.insert(task, Lease { expires, ..lease });
        inner.by_time.insert((expires, task));
        inner.seen.insert(task, now);
        true
    }

    /// Tasks whose lease has run out.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<TaskId> {
        let inner = lock(&self.0);
        inner
            .by_time
            .iter()
            .take_while(|(expires, _)| *expires <= now)
            .map(|(_, task)| *task)
            .collect()
    }

    /// When the next lease runs out.
    pub(super) fn next(&self) -> Option<Timestamp> {
        lock(&self.0).by_time.first().map(|(expires, _)| *expires)
    }

    /// Signs of life since the last call.
    pub(super) fn take_seen(&self) -> Vec<(TaskId, Timestamp)> {
        lock(&self.0).seen.drain().collect()
    }

    /// The last sign of life that is not written yet.
    pub(super) fn seen(&self, task: TaskId) -> Option<Timestamp> {
        lock(&self.0).seen.get(&task).copied()
    }

    /// Whether there is anything to write.
    pub(super) fn has_seen(&self) -> bool {
        !lock(&self.0).seen.is_empty()
    }

    /// Whether the task has a lease here.
    pub(super) fn has(&self, task: TaskId) -> bool {
        lock(&self.0).of.contains_key(&task)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.0).of.len()
    }
}

impl Inner {
    fn forget(&mut self, task: TaskId) {
        if let Some(lease) = self.of.remove(&task) {
            self.by_time.remove(&(lease.expires, task));
        }
    }
}
