//! Starts the threads.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::broadcast;

use super::hints::{Own, listen_loop, notify_loop};
use super::link::Link;
use super::read::read;
use super::write::write_loop;
use crate::engine::tls;
use crate::engine::{Bell, Readers, Threads, spawn};
use crate::{Error, Notification, Result};

/// Starts a writer and `connections - 1` readers, at least one; the writer's connection is made before it answers.
pub(crate) fn open(url: &str, connections: usize, here: broadcast::Sender<Notification>) -> Result<(Threads, Bell)> {
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
    let (writes, write_inbox) = mpsc::channel();
    let reads = Arc::new(Readers::default());
    let mut threads = Vec::new();
    let (first, reached) = mpsc::channel();
    let (mut link, own_bell) = (Link::new(config.clone(), tls.clone()), bell.clone());
    threads.push(spawn("db-writer", move || {
        let _ = first.send(link.client(Duration::ZERO).map(|_| ()));
        write_loop(&mut link, &write_inbox, &own_bell);
    })?);
    for index in 0..connections.saturating_sub(1).max(1) {
        // Connected when it is first needed.
        let mut link = Link::new(config.clone(), tls.clone());
        let (line, bell) = (Arc::clone(&reads), bell.clone());
        threads.push(spawn(&format!("db-reader-{index}"), move || {
            line.serve(|operation| read(&mut link, operation, &bell));
        })?);
    }
    reached.recv().unwrap_or(Err(Error::Closed))?;
    let own = Arc::new(Own::default());
    let (notifier, secure, sender) = (config.clone(), tls.clone(), Arc::clone(&own));
    // Nobody waits for these two at the end: they may hang on a network that is gone.
    spawn("db-notifier", move || notify_loop(notifier, secure, &outbox, &sender))?;
    spawn("db-listener", move || listen_loop(config, tls, &here, &own))?;
    let engine = Threads {
        reads,
        writes,
        threads: Mutex::new(threads),
    };
    Ok((engine, bell))
}
