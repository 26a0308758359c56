//! The store: where operations are handed in.

use std::sync::{Arc, mpsc};

use tokio::sync::{broadcast, oneshot};

use crate::engine::{self, Bell, Call, Engine, Mode};
use crate::tx::Tx;
use crate::{DbUrl, Error, Notification, Result, migrate};

/// A database that is open. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    url: DbUrl,
    engine: Engine,
    hints: broadcast::Sender<Notification>,
}

/// How many threads and connections a store has.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Connections that read, on SQLite.
    pub readers: usize,
    /// Connections in all, one of which writes (two more carry hints), on PostgreSQL.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 2,
            connections: 8,
        }
    }
}

/// Hints that a slow listener may be behind with before it gets [`Notification::RESYNC`].
const HINTS: usize = 1024;

impl Store {
    /// Opens the database, makes it where it is a file that does not exist, and brings its schema up to
    /// date. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`Error::Open`] with the reason.
    pub fn open(url: &DbUrl) -> Result<Self> {
        Self::open_with(url, Options::default())
    }

    /// [`Store::open`] with other numbers of connections.
    ///
    /// # Errors
    /// [`Error::Open`] with the reason.
    pub fn open_with(url: &DbUrl, options: Options) -> Result<Self> {
        Self::open_at(url, options, migrate::NEWEST)
    }

    /// Opens the database at an older version of its schema: for the migration test.
    #[doc(hidden)]
    pub fn open_at(url: &DbUrl, options: Options, version: i64) -> Result<Self> {
        let failed = |source| Error::Open {
            url: url.to_string(),
            source: Arc::new(source),
        };
        let (hints, _) = broadcast::channel(HINTS);
        let bell = Bell {
            here: hints.clone(),
            others: None,
        };
        let engine = match url {
            DbUrl::Memory => engine::memory::Memory::open(bell).map(Engine::Memory),
            DbUrl::Sqlite(path) => engine::sqlite::open(path, options.readers.max(1), &bell).map(Engine::Threads),
            DbUrl::Postgres(url) => {
                let opened = engine::postgres::open(url, options.connections, hints.clone());
                opened.map(|(threads, _)| Engine::Threads(threads))
            }
        }
        .map_err(failed)?;
        let store = Self {
            shared: Arc::new(Shared {
                url: url.clone(),
                engine,
                hints,
            }),
        };
        store
            .write_blocking(move |tx| migrate::run(tx, version))
            .map_err(failed)?;
        Ok(store)
    }

    /// Where the database is.
    #[must_use]
    pub fn url(&self) -> &DbUrl {
        &self.shared.url
    }

    /// Runs `body` in a transaction that may write, and answers once its changes are durable. When `body`
    /// fails or panics, or a statement in it failed, nothing is saved. Dropping the future does not stop
    /// the operation.
    ///
    /// `body` runs on a thread of the store (the caller's where the database is in memory): it must not wait for anything
    /// but the database, nor come back to the store.
    ///
    /// # Errors
    /// What `body` gives, or what keeps its changes from being saved.
    pub async fn write<T, F>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.write_as(body).await
    }

    /// [`Store::write`] for bodies with errors of their own.
    ///
    /// # Errors
    /// What `body` gives, or what keeps its changes from being saved.
    pub async fn write_as<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.call(Mode::Write, body).await
    }

    /// Runs `body` on a snapshot: all that it reads was true at one moment, no earlier than the last write
    /// that was answered before. Writers never make it wait.
    ///
    /// # Errors
    /// What `body` gives, or what keeps it from running.
    pub async fn read<T, F>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.read_as(body).await
    }

    /// [`Store::read`] for bodies with errors of their own.
    ///
    /// # Errors
    /// What `body` gives, or what keeps it from running.
    pub async fn read_as<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.call(Mode::Read, body).await
    }

    async fn call<T, E, F>(&self, mode: Mode, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.shared.engine.submit(
            mode,
            Box::new(Call::new(body, move |result| {
                // The caller may have gone; the operation is done all the same.
                let _ = reply.send(result);
            })),
        );
        answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// [`Store::write`] that blocks the calling thread: never call it where async code runs.
    ///
    /// # Errors
    /// What `body` gives, or what keeps its changes from being saved.
    pub fn write_blocking<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.call_blocking(Mode::Write, body)
    }

    /// [`Store::read`] that blocks the calling thread: never call it where async code runs.
    ///
    /// # Errors
    /// What `body` gives, or what keeps it from running.
    pub fn read_blocking<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.call_blocking(Mode::Read, body)
    }

    /// [`Store::read_blocking`] on a connection of its own where the database can have one, for reads that take long:
    /// nobody waits behind them.
    ///
    /// # Errors
    /// What `body` gives, or what keeps it from running.
    pub fn read_alone_blocking<T, E, F>(&self, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = mpsc::channel();
        let call = Box::new(Call::new(body, move |result| {
            let _ = reply.send(result);
        }));
        let bell = Bell {
            here: self.shared.hints.clone(),
            others: None,
        };
        match &self.shared.url {
            DbUrl::Memory => self.shared.engine.submit(Mode::Read, call),
            DbUrl::Sqlite(path) => engine::sqlite::read_alone(path, call, &bell),
            // The driver brings a runtime of its own, which cannot run inside another one.
            DbUrl::Postgres(url) => std::thread::scope(|scope| {
                scope.spawn(|| engine::postgres::read_alone(url, call, &bell));
            }),
        }
        answer.recv().unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    fn call_blocking<T, E, F>(&self, mode: Mode, body: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = mpsc::channel();
        self.shared.engine.submit(
            mode,
            Box::new(Call::new(body, move |result| {
                let _ = reply.send(result);
            })),
        );
        answer.recv().unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// Hints from now on, of this process and of the others that share the database.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        Notifications {
            hints: self.shared.hints.subscribe(),
        }
    }

    /// Ends the store after what was asked for before: later calls get [`Error::Closed`]. Blocks until the
    /// threads are gone.
    pub fn close(&self) {
        self.shared.engine.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.shared.url).finish()
    }
}

/// Hints, one after the other.
pub struct Notifications {
    hints: broadcast::Receiver<Notification>,
}

impl Notifications {
    /// The next hint; `None` when the store is gone. A listener that was too slow gets
    /// [`Notification::RESYNC`] in place of what it missed. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Notification> {
        match self.hints.recv().await {
            Ok(hint) => Some(hint),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notification {
                topic: Notification::RESYNC.to_owned(),
                payload: String::new(),
                own: true,
            }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
