//! A connection that is made again when it breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::{Client, Config};

use crate::engine::tls::Tls;
use crate::tx::{Connection, Statements, Tx};
use crate::{Error, Result};

/// How long an operation waits for a connection that is broken before it is answered with an error.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(20);
pub(super) const LAST_DELAY: Duration = Duration::from_secs(2);

/// A connection that is made again when it breaks.
pub(super) struct Link {
    config: Config,
    tls: Tls,
    open: Option<Open>,
}

/// A connection as it stands, with what was prepared on it.
pub(super) struct Open {
    pub(super) client: Client,
    pub(super) statements: Statements,
}

impl Open {
    /// Runs statements without parameters, in one round trip.
    ///
    /// # Errors
    /// The first one that fails.
    pub(super) fn run(&mut self, sql: &'static str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .map_err(|error| Error::from_postgres(sql, error))
    }

    /// The transaction that was begun on it, for an operation.
    pub(super) fn tx(&mut self) -> Tx<'_> {
        Tx::new(Connection::Postgres {
            client: &mut self.client,
            statements: &mut self.statements,
        })
    }
}

impl Link {
    /// Nothing is connected yet.
    pub(super) fn new(config: Config, tls: Tls) -> Self {
        Self {
            config,
            tls,
            open: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The next one who wants it gets a new connection.
    pub(super) fn drop_connection(&mut self) {
        self.open = None;
    }

    /// The connection; tries again for as long as `patience`.
    pub(super) fn client(&mut self, patience: Duration) -> Result<&mut Open> {
        if self.open.as_ref().is_some_and(|open| open.client.is_closed()) {
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
            self.open = Some(Open {
                client,
                statements: Statements::new(),
            });
        }
        self.open.as_mut().ok_or(Error::Closed)
    }

    /// A transaction: `sql` is what begins it. A connection that broke while it was idle is made again.
    pub(super) fn begin(&mut self, sql: &'static str) -> Result<&mut Open> {
        match self.client(PATIENCE)?.run(sql) {
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%error, "a connection to the database broke while it was idle");
                self.open = None;
                self.client(PATIENCE)?.run(sql)?;
            }
        }
        self.open.as_mut().ok_or(Error::Closed)
    }
}
