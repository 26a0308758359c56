//! SQLite in memory: one connection, and no thread but the caller's.
//!
//! For data that end with the process. Nothing waits for a disk, so an operation is over sooner than a thread would have
//! woken up to run it. Operations run one after the other, reads too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::sqlite::{read, run, set};
use super::{Bell, Mode, Operation, Ran};
use crate::tx::{self, Tx};
use crate::{Error, Result};

/// The database.
pub(crate) struct Memory {
    /// `None` once it is closed.
    connection: Mutex<Option<Connection>>,
    /// Held while hooks run: they may read what has just been saved, and keep the order of the commits.
    settling: Mutex<()>,
    bell: Bell,
}

impl Memory {
    pub(crate) fn open(bell: Bell) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags).map_err(|e| Error::from_sqlite("open", e))?;
        set(&connection, "")?;
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            settling: Mutex::default(),
            bell,
        })
    }

    /// Runs an operation to its end; gives it back where it comes too late.
    pub(super) fn submit(&self, mode: Mode, operation: Box<dyn Operation>) -> Option<Box<dyn Operation>> {
        let guard = lock(&self.connection);
        let Some(connection) = &*guard else {
            return Some(operation);
        };
        match mode {
            Mode::Read => self.read(connection, operation),
            Mode::Write => {
                let (ran, outcome) = write(connection, operation);
                let settling = lock(&self.settling);
                drop(guard);
                ran.settle(outcome, &self.bell);
                drop(settling);
            }
        }
        None
    }

    /// On the only connection there is: it must not write for as long as that takes.
    fn read(&self, connection: &Connection, operation: Box<dyn Operation>) {
        match run(connection, "PRAGMA query_only = ON") {
            Ok(()) => read(connection, operation, &self.bell),
            Err(error) => operation.finish(Err(error)),
        }
        if let Err(error) = run(connection, "PRAGMA query_only = OFF") {
            tracing::error!(%error, "the database stays closed to changes");
        }
    }

    pub(super) fn close(&self) {
        *lock(&self.connection) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one operation in a transaction of its own; says whether its changes could be saved.
fn write(connection: &Connection, mut operation: Box<dyn Operation>) -> (Ran, Result<()>) {
    let began = run(connection, "BEGIN");
    let mut tx = Tx::new(tx::Connection::Sqlite(connection));
    let kept = began.is_ok() && operation.run(&mut tx);
    let (_, effects) = tx.into_parts();
    let saved = began.and_then(|()| run(connection, if kept { "COMMIT" } else { "ROLLBACK" }));
    if !connection.is_autocommit() {
        // What could not be ended must not stay open for the next one.
        let _ = run(connection, "ROLLBACK");
    }
    let ran = Ran {
        operation,
        kept,
        effects,
    };
    (ran, saved.map_err(|error| Error::Commit(Arc::new(error))))
}
