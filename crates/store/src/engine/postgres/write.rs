//! The writer: what stands in line is done in one transaction, each operation in a savepoint, and answered after
//! the commit.

use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::link::{Link, Open};
use crate::engine::{Bell, Message, Operation, Ran};
use crate::{Error, Result};

/// Operations in one commit. PostgreSQL keeps 64 savepoints of a transaction at hand; with more, every reader has
/// to look them up.
const BATCH: usize = 60;
/// Rows that a batch changed are locked for the other processes until its commit.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// Serves writes until the store closes.
pub(super) fn write_loop(link: &mut Link, inbox: &mpsc::Receiver<Message>, bell: &Bell) {
    while let Ok(Message::Run(first)) = inbox.recv() {
        if write_batch(link, first, inbox, bell).is_break() {
            return;
        }
    }
}

fn write_batch(
    link: &mut Link,
    first: Box<dyn Operation>,
    inbox: &mpsc::Receiver<Message>,
    bell: &Bell,
) -> ControlFlow<()> {
    let open = match link.begin("BEGIN") {
        Ok(open) => open,
        Err(error) => {
            first.finish(Err(error));
            return ControlFlow::Continue(());
        }
    };
    let mut batch = Batch {
        began: Instant::now(),
        ran: Vec::new(),
        savepoint: false,
    };
    let mut flow = ControlFlow::Continue(());
    let mut operation = first;
    let outcome = loop {
        if let Err(lost) = batch.one(open, operation) {
            break Err(lost);
        }
        if batch.is_full() {
            break open.run("COMMIT");
        }
        operation = match inbox.try_recv() {
            Ok(Message::Run(next)) => next,
            Ok(Message::Close) => {
                flow = ControlFlow::Break(());
                break open.run("COMMIT");
            }
            Err(_) => break open.run("COMMIT"),
        };
    };
    let outcome = outcome.map_err(|error| match error {
        Error::Unavailable(_) => error,
        other => Error::Commit(Arc::new(other)),
    });
    if outcome.is_err() {
        // In whatever state the connection is: the database undoes what was not committed.
        link.drop_connection();
    }
    for ran in batch.ran {
        ran.settle(outcome.clone(), bell);
    }
    flow
}

/// A transaction that grows.
struct Batch {
    began: Instant,
    ran: Vec<Ran>,
    /// Whether a savepoint stands before which everything is to be kept.
    savepoint: bool,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.ran.len() >= BATCH || self.began.elapsed() > BATCH_TIME
    }

    /// Runs one operation so that its failure harms no other. An error means that the transaction is lost, with this
    /// operation among [`Self::ran`].
    fn one(&mut self, open: &mut Open, mut operation: Box<dyn Operation>) -> Result<()> {
        // The first one has the whole transaction for itself: a write that is alone costs no savepoint.
        let opened = if self.ran.is_empty() {
            Ok(())
        } else if std::mem::replace(&mut self.savepoint, true) {
            open.run("RELEASE operation; SAVEPOINT operation")
        } else {
            open.run("SAVEPOINT operation")
        };
        let mut tx = open.tx();
        let kept = opened.is_ok() && operation.run(&mut tx);
        let (_, effects) = tx.into_parts();
        self.ran.push(Ran {
            operation,
            kept,
            effects,
        });
        opened?;
        match (kept, self.savepoint) {
            (true, _) => Ok(()),
            (false, true) => open.run("ROLLBACK TO operation"),
            (false, false) => open.run("ROLLBACK; BEGIN"),
        }
    }
}
