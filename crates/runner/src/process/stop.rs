//! Ending a command before it ends by itself.

use tasuki_rt::CancellationToken;

/// Two levers, shared by all clones: ask, then force.
///
/// `graceful` sends SIGTERM to every process of the command and SIGKILL after its grace; `force` kills at once.
/// Both are final: a command given a stop that was pulled already does not start.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    graceful: CancellationToken,
    force: CancellationToken,
}

impl Stop {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that is pulled with this one, and can be pulled alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            graceful: self.graceful.child_token(),
            force: self.force.child_token(),
        }
    }

    /// Asks the processes to end.
    pub fn graceful(&self) {
        self.graceful.cancel();
    }

    /// Ends them now.
    pub fn force(&self) {
        self.graceful.cancel();
        self.force.cancel();
    }

    /// Whether either lever was pulled.
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        self.graceful.is_cancelled()
    }

    /// Whether the hard lever was pulled.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.force.is_cancelled()
    }

    /// Resolves when either lever is pulled.
    pub async fn pulled(&self) {
        self.graceful.cancelled().await;
    }

    /// Resolves when the hard lever is pulled.
    pub async fn forced(&self) {
        self.force.cancelled().await;
    }
}

/// Forces its stop when it is dropped: what runs apart from a future ends with it.
pub(crate) struct PullOnDrop(pub(crate) Stop);

impl Drop for PullOnDrop {
    fn drop(&mut self) {
        self.0.force();
    }
}
