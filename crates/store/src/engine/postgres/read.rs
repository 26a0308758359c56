//! Reads: each in a transaction of its own that sees one moment.

use super::link::Link;
use crate::engine::tls;
use crate::engine::{Bell, Operation, Ran};

/// Runs one operation on a snapshot.
pub(super) fn read(link: &mut Link, mut operation: Box<dyn Operation>, bell: &Bell) {
    let open = match link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") {
        Ok(open) => open,
        Err(error) => return operation.finish(Err(error)),
    };
    let mut tx = open.tx();
    let kept = operation.run(&mut tx);
    let (_, effects) = tx.into_parts();
    // Nothing was written: how it ends is the same to the database, and what was read is good.
    if let Err(error) = open.run("ROLLBACK") {
        tracing::debug!(%error, "the end of a read was not answered");
        link.drop_connection();
    }
    Ran {
        operation,
        kept,
        effects,
    }
    .settle(Ok(()), bell);
}

/// Runs one long read on a connection of its own, on the calling thread.
pub(crate) fn read_alone(url: &str, operation: Box<dyn Operation>, bell: &Bell) {
    match tls::read(url) {
        Ok((config, tls)) => read(&mut Link::new(config, tls), operation, bell),
        Err(error) => operation.finish(Err(error)),
    }
}
