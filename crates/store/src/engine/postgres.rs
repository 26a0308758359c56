//! PostgreSQL: a pool of threads, each with its own connection, and two more that carry hints.
//!
//! Hints are not sent inside the transactions that cause them, because PostgreSQL lets only one
//! transaction with a `NOTIFY` commit at a time: a thread of its own gathers and sends them after the
//! commits. A process that dies in between loses hints, which their readers must stand anyway.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::{Client, Config, IsolationLevel};
use tokio::sync::broadcast;

use super::tls::{self, Tls};
use super::{Bell, Engine, Inbox, Message, Mode, Operation, Ran, next, spawn};
use crate::tx::{Connection, Statements, Tx};
use crate::{Error, Notification, Result};

/// How long an operation waits for a connection that is broken before it is answered with an error.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LAST_DELAY: Duration = Duration::from_secs(2);
/// PostgreSQL's limit for a notification is 8000 bytes.
const PAYLOAD: usize = 7800;
const CHANNEL: &str = "tasuki";

/// Starts the pool; the first connection is made before it answers.
pub(crate) fn open(url: &str, connections: usize, here: broadcast::Sender<Notification>) -> Result<(Engine, Bell)> {
    let (mut config, tls) = tls::read(url)?;
    config
        .application_name("tasuki")
        .connect_timeout(Duration::from_secs(5))
        .keepalives_idle(Duration::from_secs(30));
    let (others, outbox) = mpsc::channel();
    let bell = Bell {
        here: here.clone(),
        others: Some(others),
    };
    let (line, inbox) = mpsc::channel();
    let inbox: Inbox = Arc::new(Mutex::new(inbox));
    let mut threads = Vec::new();
    let (first, reached) = mpsc::channel();
    for index in 0..connections.max(1) {
        let (config, tls) = (config.clone(), tls.clone());
        let (inbox, bell, first) = (Arc::clone(&inbox), bell.clone(), first.clone());
        threads.push(spawn(&format!("db-pool-{index}"), move || {
            let mut link = Link {
                config,
                tls,
                open: None,
            };
            // Only the first one connects at once; the others when they are needed.
            if index == 0 {
                let _ = first.send(link.client(Duration::ZERO).map(|_| ()));
            }
            drop(first);
            while let Some(Message::Run(mode, operation)) = next(&inbox) {
                serve(&mut link, mode, operation, &bell);
            }
        })?);
    }
    reached.recv().unwrap_or(Err(Error::Closed))?;
    let own = Arc::new(Own::default());
    let (notifier, secure, sender) = (config.clone(), tls.clone(), Arc::clone(&own));
    // Nobody waits for these two at the end: they may hang on a network that is gone.
    spawn("db-notifier", move || notify_loop(notifier, secure, &outbox, &sender))?;
    spawn("db-listener", move || listen_loop(config, tls, &here, &own))?;
    let engine = Engine {
        reads: line.clone(),
        writes: line,
        readers: 0,
        writers: connections.max(1),
        threads: Mutex::new(threads),
    };
    Ok((engine, bell))
}

/// Runs one long read on a connection of its own, on the calling thread.
pub(crate) fn read_alone(url: &str, operation: Box<dyn Operation>, bell: &Bell) {
    match tls::read(url) {
        Ok((config, tls)) => serve(
            &mut Link {
                config,
                tls,
                open: None,
            },
            Mode::Read,
            operation,
            bell,
        ),
        Err(error) => operation.finish(Err(error)),
    }
}

/// A connection that is made again when it breaks.
struct Link {
    config: Config,
    tls: Tls,
    open: Option<(Client, Statements)>,
}

impl Link {
    /// The connection; tries again for as long as `patience`.
    fn client(&mut self, patience: Duration) -> Result<&mut (Client, Statements)> {
        if self.open.as_ref().is_some_and(|(client, _)| client.is_closed()) {
            self.open = None;
        }
        if self.open.is_none() {
            let until = Instant::now() + patience;
            let mut delay = FIRST_DELAY;
            let client = loop {
                match self.config.connect(self.tls.clone()) {
                    Ok(client) => break client,
                    Err(error) if Instant::now() + delay > until => {
                        return Err(Error::Unavailable(Some(Arc::new(error))));
                    }
                    Err(_) => std::thread::sleep(delay),
                }
                delay = (delay * 2).min(LAST_DELAY);
            };
            self.open = Some((client, Statements::new()));
        }
        self.open.as_mut().ok_or(Error::Closed)
    }

    /// A connection on which a transaction can begin: one that broke while it was idle is noticed here.
    fn ready(&mut self) -> Result<&mut (Client, Statements)> {
        let alive = match &mut self.open {
            Some((client, _)) => client.is_valid(Duration::from_secs(5)).is_ok(),
            None => false,
        };
        if !alive {
            self.open = None;
        }
        self.client(PATIENCE)
    }
}

fn serve(link: &mut Link, mode: Mode, mut operation: Box<dyn Operation>, bell: &Bell) {
    for last in [false, true] {
        let open = if last { link.ready() } else { link.client(PATIENCE) };
        let open = match open {
            Ok(open) => open,
            Err(error) => return operation.finish(Err(error)),
        };
        match attempt(open, mode, operation) {
            Ok((ran, outcome)) => return ran.settle(outcome, bell),
            Err((unused, error)) if last => return unused.finish(Err(Error::from_postgres("BEGIN", error))),
            Err((unused, error)) => {
                tracing::debug!(%error, "a connection to the database broke while it was idle");
                operation = unused;
            }
        }
    }
}

/// Runs the operation in a transaction. When that cannot even begin, the operation comes back unused.
#[expect(clippy::type_complexity, reason = "used once, right above")]
fn attempt(
    (client, statements): &mut (Client, Statements),
    mode: Mode,
    mut operation: Box<dyn Operation>,
) -> Result<(Ran, Result<()>), (Box<dyn Operation>, postgres::Error)> {
    let began = match mode {
        Mode::Write => client.transaction(),
        Mode::Read => client
            .build_transaction()
            .read_only(true)
            .isolation_level(IsolationLevel::RepeatableRead)
            .start(),
    };
    let transaction = match began {
        Ok(transaction) => transaction,
        Err(error) => return Err((operation, error)),
    };
    let mut tx = Tx::new(Connection::Postgres {
        transaction,
        statements,
    });
    let kept = operation.run(&mut tx);
    let (connection, effects) = tx.into_parts();
    let outcome = end(connection, kept);
    Ok((
        Ran {
            operation,
            kept,
            effects,
        },
        outcome,
    ))
}

fn end(connection: Connection<'_>, kept: bool) -> Result<()> {
    let Connection::Postgres { transaction, .. } = connection else {
        return Ok(());
    };
    if kept {
        transaction.commit().map_err(|error| {
            if error.is_closed() {
                Error::Unavailable(Some(Arc::new(error)))
            } else {
                Error::Commit(Arc::new(error))
            }
        })
    } else {
        if let Err(error) = transaction.rollback() {
            tracing::debug!(%error, "a rollback was not answered");
        }
        Ok(())
    }
}

/// What the notifier tells the listener, so that it knows its own process's hints.
#[derive(Default)]
struct Own {
    /// The notifier's process at the database.
    pid: AtomicI32,
    closing: AtomicBool,
}

/// The hint that ends the listener of the process that sends it.
const CLOSE: &str = "close";

/// Sends hints to the other processes, many with one statement.
fn notify_loop(config: Config, tls: Tls, outbox: &mpsc::Receiver<Notification>, own: &Own) {
    let mut link = Link {
        config,
        tls,
        open: None,
    };
    while let Ok(first) = outbox.recv() {
        let mut lines = vec![line(&first)];
        let mut size = lines[0].len();
        while size < PAYLOAD / 2 {
            let Ok(more) = outbox.try_recv() else { break };
            let more = line(&more);
            if !lines.contains(&more) {
                size += more.len() + 1;
                lines.push(more);
            }
        }
        send(&mut link, &lines.join("\n"), own);
    }
    // The listener waits for nothing but hints.
    own.closing.store(true, Ordering::Relaxed);
    send(&mut link, CLOSE, own);
}

/// A hint as one line; one that is too long becomes "read everything again".
fn line(notification: &Notification) -> String {
    let text = format!("{} {}", notification.topic, notification.payload.replace('\n', " "));
    if text.len() > PAYLOAD / 2 {
        return format!("{} ", Notification::RESYNC);
    }
    text
}

fn send(link: &mut Link, payload: &str, own: &Own) {
    let fresh = link.open.is_none();
    let sent = link.client(PATIENCE).and_then(|(client, _)| {
        if fresh {
            let row = client
                .query_one("SELECT pg_backend_pid()", &[])
                .map_err(|e| Error::from_postgres("SELECT pg_backend_pid()", e))?;
            own.pid.store(row.get(0), Ordering::Relaxed);
        }
        client
            .execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload])
            .map_err(|e| Error::from_postgres("SELECT pg_notify", e))
    });
    if let Err(error) = sent {
        link.open = None;
        tracing::warn!(%error, "a hint to the other servers was lost");
    }
}

/// Passes on the hints of other processes.
fn listen_loop(config: Config, tls: Tls, here: &broadcast::Sender<Notification>, own: &Own) {
    let mut link = Link {
        config,
        tls,
        open: None,
    };
    let mut again = false;
    loop {
        match listen(&mut link, here, own, again) {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "not listening to the other servers; trying again"),
        }
        link.open = None;
        again = true;
        if own.closing.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(LAST_DELAY);
    }
}

fn listen(link: &mut Link, here: &broadcast::Sender<Notification>, own: &Own, again: bool) -> Result<()> {
    let (client, _) = link.client(PATIENCE)?;
    client
        .batch_execute(&format!("LISTEN {CHANNEL}"))
        .map_err(|e| Error::from_postgres("LISTEN", e))?;
    let publish = |topic: &str, payload: &str| {
        // Nobody listens here: nothing to tell.
        let _ = here.send(Notification {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
            own: false,
        });
    };
    if again {
        publish(Notification::RESYNC, "");
    }
    let mut notifications = client.notifications();
    let mut incoming = notifications.blocking_iter();
    while let Some(message) = incoming.next().map_err(|e| Error::from_postgres("LISTEN", e))? {
        if message.process_id() == own.pid.load(Ordering::Relaxed) {
            if message.payload() == CLOSE {
                return Ok(());
            }
            continue;
        }
        for line in message.payload().lines().filter(|line| *line != CLOSE) {
            let (topic, payload) = line.split_once(' ').unwrap_or((line, ""));
            publish(topic, payload);
        }
    }
    Err(Error::Unavailable(None))
}
