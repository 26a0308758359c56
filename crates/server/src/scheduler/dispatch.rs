//! Brings waiting tasks and waiting runners together.
//!
//! A task that comes in goes straight to the runner that has waited longest among those that may take it;
//! a runner that comes in gets the queue's next task for it. Either way exactly one runner is woken for one
//! task. What it is woken with is a [`Reservation`]: dropped without being used, wherever that happens, the
//! task goes back to the queue.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tasuki_model::id::{ProjectId, TaskId};
use tasuki_model::labels::{Offer, check};
use tokio::sync::oneshot;

use super::cache::lock;
use super::queue::{Queue, Waiting};

#[derive(Debug, Default)]
pub(super) struct Dispatch(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: Queue,
    /// Runners that wait, by what they offer: many offer the same. Oldest first.
    waiting: BTreeMap<Arc<Offer>, VecDeque<Waiter>>,
    next: u64,
    /// Counts tasks that were queued: what `X-GitLab-Last-Update` is made of.
    queued: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    wake: oneshot::Sender<Reservation>,
}

/// A task that is kept for one runner until it is claimed in the database.
#[derive(Debug)]
pub(super) struct Reservation {
    dispatch: Arc<Dispatch>,
    task: Option<Waiting>,
}

/// What a runner that asks gets.
pub(super) enum Answer {
    Task(Reservation),
    Wait(Turn),
}

/// A place among the waiting runners; leaves it when dropped.
pub(super) struct Turn {
    pub(super) wake: oneshot::Receiver<Reservation>,
    dispatch: Arc<Dispatch>,
    offer: Arc<Offer>,
    number: u64,
}

impl Reservation {
    pub(super) fn id(&self) -> Option<TaskId> {
        self.task.as_ref().map(|task| task.id)
    }

    /// The task is claimed: it runs.
    pub(super) fn claimed(mut self) {
        self.task = None;
    }

    /// The task was not there to be claimed any more.
    pub(super) fn gone(mut self) {
        if let Some(task) = self.task.take() {
            lock(&self.dispatch.0).queue.ended(task.project);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let mut inner = lock(&self.dispatch.0);
            inner.queue.ended(task.project);
            inner.offer(&self.dispatch, task);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = lock(&self.dispatch.0);
        if let Some(line) = inner.waiting.get_mut(&self.offer) {
            line.retain(|waiter| waiter.number != self.number);
            if line.is_empty() {
                inner.waiting.remove(&self.offer);
            }
        }
    }
}

impl Dispatch {
    /// The next task for a runner, or a place to wait for one.
    pub(super) fn ask(self: &Arc<Self>, offer: &Arc<Offer>) -> Answer {
        let mut inner = lock(&self.0);
        if let Some(task) = inner.queue.take(offer) {
            inner.queue.started(task.project);
            return Answer::Task(Reservation {
                dispatch: Arc::clone(self),
                task: Some(task),
            });
        }
        let (sender, wake) = oneshot::channel();
        inner.next += 1;
        let number = inner.next;
        inner
            .waiting
            .entry(Arc::clone(offer))
            .or_default()
            .push_back(Waiter { number, wake: sender });
        Answer::Wait(Turn {
            wake,
            dispatch: Arc::clone(self),
            offer: Arc::clone(offer),
            number,
        })
    }

    /// The next task for a runner that does not wait.
    pub(super) fn take(self: &Arc<Self>, offer: &Offer) -> Option<Reservation> {
        let mut inner = lock(&self.0);
        let task = inner.queue.take(offer)?;
        inner.queue.started(task.project);
        Some(Reservation {
            dispatch: Arc::clone(self),
            task: Some(task),
        })
    }

    /// Tasks that wait now.
    pub(super) fn enqueue(self: &Arc<Self>, tasks: impl IntoIterator<Item = Waiting>) {
        let mut inner = lock(&self.0);
        for task in tasks {
            inner.queued += 1;
            inner.offer(self, task);
        }
    }

    /// Tasks that do not wait any more.
    pub(super) fn dequeue(&self, tasks: impl IntoIterator<Item = TaskId>) {
        let mut inner = lock(&self.0);
        for id in tasks {
            inner.queue.remove(id);
        }
    }

    /// Tasks of these projects have stopped running, one for each mention.
    pub(super) fn ended(&self, projects: impl IntoIterator<Item = ProjectId>) {
        let mut inner = lock(&self.0);
        for project in projects {
            inner.queue.ended(project);
        }
    }

    /// Tasks of these projects were started by another server, one for each mention.
    pub(super) fn started(&self, projects: impl IntoIterator<Item = ProjectId>) {
        let mut inner = lock(&self.0);
        for project in projects {
            inner.queue.started(project);
        }
    }

    /// Adds what the database has and is not here, and counts anew what runs. What is here and not there any more
    /// is found out when it is claimed.
    pub(super) fn reset(self: &Arc<Self>, tasks: Vec<Waiting>, running: HashMap<ProjectId, u32>) {
        let mut inner = lock(&self.0);
        inner.queue.reset_running(running);
        for task in tasks {
            if !inner.queue.contains(task.id) {
                inner.queued += 1;
                inner.offer(self, task);
            }
        }
    }

    /// Sends every runner away that waits with this offer, so that it asks again with the present one.
    pub(super) fn send_away(&self, matches: impl Fn(&Offer) -> bool) {
        lock(&self.0).waiting.retain(|offer, _| !matches(offer));
    }

    /// A number that changes whenever a task is queued.
    pub(super) fn version(&self) -> u64 {
        lock(&self.0).queued
    }

    /// How many tasks wait, and how many runners.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let inner = lock(&self.0);
        (inner.queue.len(), inner.waiting.values().map(VecDeque::len).sum())
    }

    /// Tasks of the same project and demand that go before this one; `None`: it does not wait.
    pub(super) fn ahead(&self, id: TaskId) -> Option<usize> {
        lock(&self.0).queue.ahead(id)
    }
}

impl Inner {
    /// Hands a task to the runner that has waited longest for one like it, or queues it.
    fn offer(&mut self, dispatch: &Arc<Dispatch>, task: Waiting) {
        let mut task = task;
        loop {
            let longest = self
                .waiting
                .iter()
                .filter(|(offer, _)| check(&task.demand, task.project, offer).is_ok())
                .filter_map(|(offer, line)| Some((line.front()?.number, Arc::clone(offer))))
                .min_by_key(|(number, _)| *number);
            let waiter = longest.and_then(|(_, offer)| {
                let line = self.waiting.get_mut(&offer)?;
                let waiter = line.pop_front();
                if line.is_empty() {
                    self.waiting.remove(&offer);
                }
                waiter
            });
            let Some(waiter) = waiter else {
                self.queue.push(task);
                return;
            };
            let project = task.project;
            self.queue.started(project);
            let reservation = Reservation {
                dispatch: Arc::clone(dispatch),
                task: Some(task),
            };
            match waiter.wake.send(reservation) {
                Ok(()) => return,
                // It has gone: undone by hand, since dropping it would want the lock that is held here.
                Err(mut back) => {
                    self.queue.ended(project);
                    match back.task.take() {
                        Some(again) => task = again,
                        None => return,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
