//! How operations run on each database.

pub(crate) mod memory;
pub(crate) mod postgres;
mod readers;
pub(crate) mod sqlite;
pub(crate) mod tls;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

pub(crate) use readers::Readers;
use tokio::sync::broadcast;

use crate::tx::{Effects, Tx};
use crate::{Error, Notification, Result};

/// What is asked of an operation's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

/// One call of [`crate::Store::write`] or [`crate::Store::read`] on its way through an engine.
pub(crate) trait Operation: Send {
    /// Runs the body; says whether its changes are to be kept. Never panics.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Answers the caller: with what the body gave, or with `outcome` where that says that the changes
    /// could not be saved.
    fn finish(self: Box<Self>, outcome: Result<()>);
}

/// What stands in the line before an engine's writer.
pub(crate) enum Message {
    Run(Box<dyn Operation>),
    /// Ends the thread.
    Close,
}

/// A running engine: where to put operations.
pub(crate) enum Engine {
    Threads(Threads),
    Memory(memory::Memory),
}

impl Engine {
    /// Hands in an operation; one that comes too late is answered at once.
    pub(crate) fn submit(&self, mode: Mode, operation: Box<dyn Operation>) {
        let late = match self {
            Self::Threads(threads) => threads.submit(mode, operation),
            Self::Memory(memory) => memory.submit(mode, operation),
        };
        if let Some(operation) = late {
            operation.finish(Err(Error::Closed));
        }
    }

    /// Lets nothing in any more, and returns when what was asked for before is done.
    pub(crate) fn close(&self) {
        match self {
            Self::Threads(threads) => threads.close(),
            Self::Memory(memory) => memory.close(),
        }
    }
}

/// Threads with connections of their own, to be joined at the end.
pub(crate) struct Threads {
    pub(crate) reads: Arc<Readers>,
    pub(crate) writes: mpsc::Sender<Message>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Gives back an operation that comes too late.
    fn submit(&self, mode: Mode, operation: Box<dyn Operation>) -> Option<Box<dyn Operation>> {
        match mode {
            Mode::Read => self.reads.submit(operation).err(),
            Mode::Write => match self.writes.send(Message::Run(operation)) {
                Err(mpsc::SendError(Message::Run(operation))) => Some(operation),
                Ok(()) | Err(mpsc::SendError(Message::Close)) => None,
            },
        }
    }

    fn close(&self) {
        self.reads.close();
        // A thread that is gone already needs no word.
        let _ = self.writes.send(Message::Close);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

/// Spawns a named thread of the store.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Error::Unavailable(Some(Arc::new(error))))
}

/// Where hints go after a commit.
#[derive(Clone)]
pub(crate) struct Bell {
    pub(crate) here: broadcast::Sender<Notification>,
    /// To the other processes, where the database can carry them.
    pub(crate) others: Option<mpsc::Sender<Notification>>,
}

impl Bell {
    fn ring(&self, notification: Notification) {
        if let Some(others) = &self.others {
            // The notifier is gone only while the store closes.
            let _ = others.send(notification.clone());
        }
        if notification.own {
            // Nobody listens: nothing to tell.
            let _ = self.here.send(notification);
        }
    }
}

/// An operation that ran, waiting for the commit.
pub(crate) struct Ran {
    pub(crate) operation: Box<dyn Operation>,
    pub(crate) kept: bool,
    pub(crate) effects: Effects,
}

impl Ran {
    /// Hooks and hints, then the answer to the caller.
    pub(crate) fn settle(self, outcome: Result<()>, bell: &Bell) {
        let saved = self.kept && outcome.is_ok();
        let hooks = if saved {
            self.effects.committed
        } else {
            self.effects.rolled_back
        };
        for hook in hooks {
            if catch_unwind(AssertUnwindSafe(hook)).is_err() {
                tracing::error!("a hook of a database operation panicked");
            }
        }
        if saved {
            for notification in self.effects.notifications {
                bell.ring(notification);
            }
        }
        self.operation.finish(outcome);
    }
}

/// A body with the place for its result and the way back to its caller.
pub(crate) struct Call<F, T, E, R> {
    body: Option<F>,
    result: Option<Result<T, E>>,
    reply: R,
}

impl<F, T, E, R> Call<F, T, E, R>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
    R: FnOnce(Result<T, E>) + Send,
{
    pub(crate) fn new(body: F, reply: R) -> Self {
        Self {
            body: Some(body),
            result: None,
            reply,
        }
    }
}

impl<F, T, E, R> Operation for Call<F, T, E, R>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
    R: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(body) = self.body.take() else { return false };
        let result = match catch_unwind(AssertUnwindSafe(|| body(tx))) {
            Ok(Ok(_)) if tx.is_poisoned() => Err(Error::Poisoned.into()),
            Ok(result) => result,
            Err(panic) => Err(Error::Panicked {
                message: panic_message(&*panic),
            }
            .into()),
        };
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let result = match (self.result, outcome) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(error.into()),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(Error::Closed.into()),
        };
        (self.reply)(result);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
