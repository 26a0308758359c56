//! What changed, for whoever watches: pages and event streams.

use tasuki_model::id::PipelineId;
use tasuki_rt::Tasks;
use tasuki_store::{Notification, Store};
use tokio::sync::broadcast;

/// Changes that a slow listener may be behind with; beyond that it is told to read again.
const KEPT: usize = 1024;
/// Topic of the store's hints about pipelines.
pub const PIPELINE: &str = "pipeline";

/// Something that watchers may want to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This pipeline, or anything in it.
    Pipeline(PipelineId),
    /// Hints may have been lost.
    Anything,
}

/// Where changes are told.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Change>);

impl Events {
    /// Passes on the store's hints: those of this process and, on PostgreSQL, of all others.
    #[must_use]
    pub fn start(tasks: &Tasks, store: &Store) -> Self {
        let (sender, _) = broadcast::channel(KEPT);
        let mut hints = store.notifications();
        let (stop, to) = (tasks.token(), sender.clone());
        tasks.spawn("events", async move {
            loop {
                let hint = tokio::select! {
                    hint = hints.next() => hint,
                    () = stop.cancelled() => return,
                };
                let Some(hint) = hint else { return };
                if let Some(change) = change(&hint) {
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

fn change(hint: &Notification) -> Option<Change> {
    match hint.topic.as_str() {
        PIPELINE => hint.payload.parse().ok().map(Change::Pipeline),
        Notification::RESYNC => Some(Change::Anything),
        _ => None,
    }
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
