//! What changed, for whoever watches: pages and event streams.

use tasuki_model::id::PipelineId;
use tasuki_rt::Tasks;
use tasuki_store::{Notification, Store};
use tokio::sync::broadcast;

use crate::scheduler::{Event, Scheduler};

/// Changes that a slow listener may be behind with; beyond that it is told to read again.
const KEPT: usize = 1024;

/// Something that watchers may want to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This pipeline, or anything in it.
    Pipeline(PipelineId),
    /// Hints may have been lost, or another server changed something.
    Anything,
}

/// Where changes are told.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Change>);

impl Events {
    /// Passes on what the scheduler of this process does and what other servers on the same database hint at.
    #[must_use]
    pub fn start(tasks: &Tasks, store: &Store, scheduler: &Scheduler) -> Self {
        let (sender, _) = broadcast::channel(KEPT);
        let (mut own, mut hints) = (scheduler.events(), store.notifications());
        let (stop, to) = (tasks.token(), sender.clone());
        tasks.spawn("events", async move {
            loop {
                let change = tokio::select! {
                    event = own.recv() => match event {
                        Ok(event) => of_event(&event),
                        Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Anything),
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    hint = hints.next() => match hint {
                        Some(hint) => of_hint(&hint),
                        None => return,
                    },
                    () = stop.cancelled() => return,
                };
                if let Some(change) = change {
                    // Nobody watches: nothing to tell.
                    let _ = to.send(change);
                }
            }
        });
        Self(sender)
    }

    /// Changes from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

fn of_event(event: &Event) -> Option<Change> {
    match event {
        Event::Job { pipeline, .. } | Event::Task { pipeline, .. } | Event::Pipeline { pipeline, .. } => {
            Some(Change::Pipeline(*pipeline))
        }
        Event::LogFinished { .. } => None,
    }
}

fn of_hint(hint: &Notification) -> Option<Change> {
    (!hint.own || hint.topic == Notification::RESYNC).then_some(Change::Anything)
}

/// Changes, one after the other.
pub struct Watch(broadcast::Receiver<Change>);

impl Watch {
    /// The next change; `None` when the server ends.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Anything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
