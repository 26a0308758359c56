//! SQLite: one writer thread with group commit, readers with their own connections.
//!
//! The writer takes what stands in line, runs each operation in a savepoint and commits them together:
//! while one commit waits for the disk, the next batch gathers. An operation that fails takes only its own
//! changes back. Nobody is answered before the commit that holds his changes is on disk.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{Bell, Message, Operation, Ran, Readers, Threads, spawn};
use crate::tx::{self, Tx};
use crate::{Error, Result};

/// At most so many operations in one commit, and at most so long until it: a bound on what those at the
/// head of the batch wait for those behind them.
const BATCH: usize = 512;
const BATCH_TIME: Duration = Duration::from_millis(20);
/// How long to wait for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(10);
/// Statements kept prepared for each connection.
const STATEMENTS: usize = 256;

/// Opens the database file (made with mode 0600 where it is missing) and starts the threads.
pub(crate) fn open(path: &Path, readers: usize, bell: &Bell) -> Result<Threads> {
    create(path)?;
    let writer = connect(path)?;
    // The writer's page cache; the readers share the kernel's.
    writer
        .execute_batch("PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 2000")
        .map_err(|e| Error::from_sqlite("PRAGMA", e))?;
    let (writes, write_inbox) = mpsc::channel();
    let reads = Arc::new(Readers::default());
    let mut threads = Vec::new();
    let own = bell.clone();
    threads.push(spawn("db-writer", move || write_loop(&writer, &write_inbox, &own))?);
    for index in 0..readers {
        let (line, path, bell) = (Arc::clone(&reads), path.to_owned(), bell.clone());
        threads.push(spawn(&format!("db-reader-{index}"), move || {
            let mut open = None;
            line.serve(|operation| match reader(&mut open, &path) {
                Ok(connection) => read(connection, operation, &bell),
                Err(error) => operation.finish(Err(error)),
            });
        })?);
    }
    Ok(Threads {
        reads,
        writes,
        threads: Mutex::new(threads),
    })
}

/// The connection of a reading thread, made when it is first needed.
fn reader<'a>(open: &'a mut Option<Connection>, path: &Path) -> Result<&'a Connection> {
    let connection = match open.take() {
        Some(connection) => connection,
        None => {
            let connection = connect(path)?;
            run(&connection, "PRAGMA query_only = ON")?;
            connection
        }
    };
    Ok(open.insert(connection))
}

/// Runs one long read on a connection of its own, on the calling thread.
pub(crate) fn read_alone(path: &Path, operation: Box<dyn Operation>, bell: &Bell) {
    match reader(&mut None, path) {
        Ok(connection) => read(connection, operation, bell),
        Err(error) => operation.finish(Err(error)),
    }
}

fn create(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|error| Error::Unavailable(Some(Arc::new(error))))
}

/// A connection to a file.
pub(crate) fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| Error::from_sqlite("open", e))?;
    connection
        .busy_timeout(BUSY)
        .map_err(|e| Error::from_sqlite("busy_timeout", e))?;
    set(
        &connection,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -2048",
    )?;
    Ok(connection)
}

/// The settings that every connection has, and `own`.
pub(super) fn set(connection: &Connection, own: &str) -> Result<()> {
    for pragmas in [own, "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY"] {
        connection
            .execute_batch(pragmas)
            .map_err(|e| Error::from_sqlite("PRAGMA", e))?;
    }
    // Without it, a statement whose plan may hang on a parameter (any that could use a partial index) is prepared anew
    // for every set of parameters.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|e| Error::from_sqlite("enable_qpsg", e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

fn write_loop(connection: &Connection, inbox: &mpsc::Receiver<Message>, bell: &Bell) {
    while let Ok(Message::Run(first)) = inbox.recv() {
        if write_batch(connection, first, inbox, bell).is_break() {
            break;
        }
    }
    // Leaves one file behind where nobody else has it open; readers of the next start profit.
    if let Err(error) = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::debug!(%error, "the last checkpoint was not possible");
    }
}

/// Runs `first` and what has come meanwhile, and commits it all. Breaks when the store closes.
fn write_batch(
    connection: &Connection,
    first: Box<dyn Operation>,
    inbox: &mpsc::Receiver<Message>,
    bell: &Bell,
) -> std::ops::ControlFlow<()> {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE") {
        first.finish(Err(error));
        return std::ops::ControlFlow::Continue(());
    }
    let began = Instant::now();
    let mut batch = Vec::new();
    let mut lost = None;
    let mut flow = std::ops::ControlFlow::Continue(());
    let mut operation = first;
    loop {
        match write_one(connection, operation) {
            (ran, Ok(())) => batch.push(ran),
            (ran, Err(error)) => {
                batch.push(ran);
                lost = Some(error);
                break;
            }
        }
        if batch.len() >= BATCH || began.elapsed() > BATCH_TIME {
            break;
        }
        match inbox.try_recv() {
            Ok(Message::Run(next)) => operation = next,
            Ok(Message::Close) => {
                flow = std::ops::ControlFlow::Break(());
                break;
            }
            Err(_) => break,
        }
    }
    let outcome = match lost {
        Some(error) => Err(error),
        None => run(connection, "COMMIT").map_err(|error| Error::Commit(Arc::new(error))),
    };
    if outcome.is_err()
        && !connection.is_autocommit()
        && let Err(error) = run(connection, "ROLLBACK")
    {
        tracing::error!(%error, "the database did not roll back");
    }
    for ran in batch {
        ran.settle(outcome.clone(), bell);
    }
    flow
}

/// Runs one operation in its savepoint. An error means that the whole transaction is gone.
fn write_one(connection: &Connection, mut operation: Box<dyn Operation>) -> (Ran, Result<()>) {
    let mut tx = Tx::new(tx::Connection::Sqlite(connection));
    let opened = run(connection, "SAVEPOINT operation");
    let kept = opened.is_ok() && operation.run(&mut tx);
    let (_, effects) = tx.into_parts();
    let closed = opened.and_then(|()| {
        // A full disk and the like make SQLite roll the whole transaction back by itself.
        if connection.is_autocommit() {
            return Err(Error::Commit(Arc::new(Error::Poisoned)));
        }
        if !kept {
            run(connection, "ROLLBACK TO operation")?;
        }
        run(connection, "RELEASE operation")
    });
    (
        Ran {
            operation,
            kept,
            effects,
        },
        closed,
    )
}

/// Runs one operation on a snapshot.
pub(super) fn read(connection: &Connection, mut operation: Box<dyn Operation>, bell: &Bell) {
    if let Err(error) = run(connection, "BEGIN") {
        operation.finish(Err(error));
        return;
    }
    let mut tx = Tx::new(tx::Connection::Sqlite(connection));
    let kept = operation.run(&mut tx);
    let (_, effects) = tx.into_parts();
    if let Err(error) = run(connection, "ROLLBACK") {
        tracing::error!(%error, "a read could not be ended");
    }
    Ran {
        operation,
        kept,
        effects,
    }
    .settle(Ok(()), bell);
}

pub(super) fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(|e| Error::from_sqlite(sql, e))
}
