//! Signals of the commands that run for long: the first asks to finish, the second to stop at once.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Take nothing new, finish what runs.
    Drain,
    /// Cancel what runs.
    Cancel,
}

/// Interrupt, terminate and quit, counted.
pub(crate) struct Interrupts {
    signals: [Signal; 3],
    seen: u32,
}

impl Interrupts {
    /// From now on these signals no longer end the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let one = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            signals: [
                one(SignalKind::interrupt())?,
                one(SignalKind::terminate())?,
                one(SignalKind::quit())?,
            ],
            seen: 0,
        })
    }

    /// The next request: the first signal drains, every further one cancels.
    pub(crate) async fn next(&mut self) -> Request {
        let [interrupt, terminate, quit] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
        }
        self.seen += 1;
        if self.seen == 1 {
            Request::Drain
        } else {
            Request::Cancel
        }
    }
}
