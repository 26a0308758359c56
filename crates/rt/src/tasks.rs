//! Supervised tasks: named, joined at shutdown, a panic is logged and never lost.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, error, warn};

/// A group of tasks that end together. Clones share the group.
///
/// Guarantees: each task is tracked until it ends; after [`Tasks::close_and_wait`] the token is cancelled
/// and every task has ended, or was named in a warning because it outlived the deadline.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group with a token of its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
        }
    }

    /// Cancelled when the group shuts down. A task that loops selects on it.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts `future` as a task of the group. A panic in it is logged with the task's name; the others go on.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::info_span!("task", name);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the door through which all others spawn"
        )]
        let inner = tokio::spawn(future.instrument(span));
        self.tracker.spawn(async move {
            match inner.await {
                Ok(value) => Some(value),
                Err(failed) if failed.is_panic() => {
                    error!(task = name, "a task panicked");
                    None
                }
                Err(_) => None,
            }
        })
    }

    /// Cancels the token and waits until every task has ended, at most `deadline`. Returns whether all ended.
    pub async fn close_and_wait(&self, deadline: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok();
        if !ended {
            warn!(left = self.tracker.len(), "tasks outlived the shutdown deadline");
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported_and_the_others_go_on() {
        let tasks = Tasks::new();
        let bad = tasks.spawn("bad", async { panic!("on purpose") });
        let good = tasks.spawn("good", async { 7 });
        assert_eq!(good.await.ok().flatten(), Some(7));
        assert_eq!(bad.await.ok().flatten(), None::<()>);
        assert!(tasks.close_and_wait(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn shutdown_cancels_and_waits() {
        let tasks = Tasks::new();
        let token = tasks.token();
        let waiter = tasks.spawn("waiter", async move { token.cancelled().await });
        assert!(tasks.close_and_wait(Duration::from_secs(5)).await);
        assert!(waiter.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_told_of() {
        let tasks = Tasks::new();
        let _stuck = tasks.spawn("stuck", std::future::pending::<()>());
        assert!(!tasks.close_and_wait(Duration::from_secs(1)).await);
    }
}
