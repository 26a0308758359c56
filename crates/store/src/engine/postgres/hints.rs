//! Hints between the processes that share a database: two connections of their own.
//!
//! Hints are not sent inside the transactions that cause them, because PostgreSQL lets only one
//! transaction with a `NOTIFY` commit at a time: a thread of its own gathers and sends them after the
//! commits. A process that dies in between loses hints, which their readers must stand anyway.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;

use postgres::Config;
use postgres::fallible_iterator::FallibleIterator as _;
use tokio::sync::broadcast;

use super::link::{LAST_DELAY, Link, Open, PATIENCE};
use crate::engine::tls::Tls;
use crate::{Error, Notification, Result};

/// PostgreSQL's limit for a notification is 8000 bytes.
const PAYLOAD: usize = 7800;
const CHANNEL: &str = "tasuki";

/// What the notifier tells the listener, so that it knows its own process's hints.
#[derive(Default)]
pub(super) struct Own {
    /// The notifier's process at the database.
    pid: AtomicI32,
    closing: AtomicBool,
}

/// The hint that ends the listener of the process that sends it.
const CLOSE: &str = "close";

/// Sends hints to the other processes, many with one statement.
pub(super) fn notify_loop(config: Config, tls: Tls, outbox: &mpsc::Receiver<Notification>, own: &Own) {
    let mut link = Link::new(config, tls);
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
    let fresh = !link.is_open();
    let sent = link.client(PATIENCE).and_then(|Open { client, .. }| {
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
        link.drop_connection();
        tracing::warn!(%error, "a hint to the other servers was lost");
    }
}

/// Passes on the hints of other processes.
pub(super) fn listen_loop(config: Config, tls: Tls, here: &broadcast::Sender<Notification>, own: &Own) {
    let mut link = Link::new(config, tls);
    let mut again = false;
    loop {
        match listen(&mut link, here, own, again) {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "not listening to the other servers; trying again"),
        }
        link.drop_connection();
        again = true;
        if own.closing.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(LAST_DELAY);
    }
}

fn listen(link: &mut Link, here: &broadcast::Sender<Notification>, own: &Own, again: bool) -> Result<()> {
    let Open { client, .. } = link.client(PATIENCE)?;
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
