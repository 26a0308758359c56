//! A transaction, and how statements run in it.

use std::collections::HashMap;

use crate::row::{Record, Row};
use crate::value::Value;
use crate::{Error, Notification, Result};

type Hook = Box<dyn FnOnce() + Send>;

/// A transaction: what store functions work on.
///
/// Everything done through one `Tx` is saved together or not at all. Once a statement failed, the
/// operation cannot be saved any more, on either database.
pub struct Tx<'c> {
    connection: Connection<'c>,
    effects: Effects,
    poisoned: bool,
}

/// What follows when the operation is saved, or is not.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) committed: Vec<Hook>,
    pub(crate) rolled_back: Vec<Hook>,
    pub(crate) notifications: Vec<Notification>,
}

/// Prepared statements of one PostgreSQL connection by their text.
pub(crate) type Statements = HashMap<String, postgres::Statement>;

pub(crate) enum Connection<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres {
        /// With a transaction begun on it.
        client: &'c mut postgres::Client,
        statements: &'c mut Statements,
    },
}

/// Rows in one `INSERT … VALUES`: few different statement texts, so that the statement cache holds them.
const BATCHES: [usize; 5] = [256, 64, 16, 4, 1];

impl<'c> Tx<'c> {
    pub(crate) fn new(connection: Connection<'c>) -> Self {
        Self {
            connection,
            effects: Effects::default(),
            poisoned: false,
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    pub(crate) fn into_parts(self) -> (Connection<'c>, Effects) {
        (self.connection, self.effects)
    }

    /// Runs `hook` after the commit and before the operation is acknowledged, in commit order, on the
    /// store's thread: it must be quick and must not wait.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.effects.committed.push(Box::new(hook));
    }

    /// Runs `hook` when the operation turns out not to be saved (it failed, or the commit did).
    pub fn after_rollback(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.effects.rolled_back.push(Box::new(hook));
    }

    /// Tells every server process that shares this database, after the commit. Best effort: a listener
    /// treats it as a hint to read again and has a timer besides (see [`crate::Store::notifications`]).
    pub fn notify(&mut self, topic: &'static str, payload: impl Into<String>) {
        self.effects.notifications.push(Notification {
            topic: topic.to_owned(),
            payload: payload.into(),
            own: true,
        });
    }

    /// [`Tx::notify`] that leaves out this process, which knows by an [`Tx::after_commit`] hook. Free of cost
    /// where no other process shares the database.
    pub fn notify_others(&mut self, topic: &'static str, payload: impl Into<String>) {
        if self.is_postgres() {
            self.effects.notifications.push(Notification {
                topic: topic.to_owned(),
                payload: payload.into(),
                own: false,
            });
        }
    }

    /// Runs a statement; gives the number of rows that it changed.
    ///
    /// # Errors
    /// When the statement fails; the operation cannot be saved any more then.
    pub fn exec(&mut self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        let result = match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_exec(connection, sql, params),
            Connection::Postgres { client, statements } => postgres_exec(client, statements, sql, params),
        };
        self.poisoned |= result.is_err();
        result
    }

    /// Runs a query and reads every row with `read`.
    ///
    /// # Errors
    /// When the query fails or `read` does.
    pub fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&mut Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(sql, params, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Runs a query and shows every row to `see`, without gathering them.
    ///
    /// # Errors
    /// When the query fails or `see` does.
    pub fn each(&mut self, sql: &str, params: &[Value<'_>], see: impl FnMut(&mut Row<'_>) -> Result<()>) -> Result<()> {
        let result = match &mut self.connection {
            Connection::Sqlite(connection) => sqlite_each(connection, sql, params, see),
            Connection::Postgres { client, statements } => postgres_each(client, statements, sql, params, see),
        };
        self.poisoned |= result.is_err();
        result
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        read: impl FnMut(&mut Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, params, read)?.into_iter().next())
    }

    /// The records of a table for which `tail` (`WHERE … ORDER BY …`) holds.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn select<R: Record>(&mut self, tail: &str, params: &[Value<'_>]) -> Result<Vec<R>> {
        let sql = format!("SELECT {} FROM {} {tail}", R::COLUMNS, R::TABLE);
        self.query(&sql, params, |row| R::read(row))
    }

    /// The first record of a table for which `tail` holds.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn select_opt<R: Record>(&mut self, tail: &str, params: &[Value<'_>]) -> Result<Option<R>> {
        Ok(self.select(tail, params)?.into_iter().next())
    }

    /// Inserts many rows with few statements: `INSERT INTO {into} VALUES (…), (…) {tail}`. `values` holds
    /// the rows one after the other, `width` values each. With a `RETURNING` tail the rows that come back
    /// are read with `read`, in no promised order.
    ///
    /// # Errors
    /// As [`Tx::query`].
    pub fn insert_all<T>(
        &mut self,
        into: &str,
        width: usize,
        values: &[Value<'_>],
        tail: &str,
        mut read: impl FnMut(&mut Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        debug_assert!(width > 0 && values.len().is_multiple_of(width), "values are whole rows");
        let mut all = Vec::new();
        let mut rest = values;
        for batch in BATCHES {
            let size = batch * width;
            if rest.len() < size {
                continue;
            }
            let sql = format!("INSERT INTO {into} VALUES {} {tail}", placeholders(batch, width));
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                rest = later;
                if tail.contains("RETURNING") {
                    self.each(&sql, now, |row| {
                        all.push(read(row)?);
                        Ok(())
                    })?;
                } else {
                    self.exec(&sql, now)?;
                }
            }
        }
        Ok(all)
    }

    /// Inserts many rows that give nothing back.
    ///
    /// # Errors
    /// As [`Tx::exec`].
    pub fn insert_rows(&mut self, into: &str, width: usize, values: &[Value<'_>]) -> Result<()> {
        self.insert_all(into, width, values, "", |_| Ok(())).map(|_| ())
    }

    /// Changes many rows with few statements. `set` names the columns of the rows in `values` as
    /// `v.column1`, `v.column2`, …: `UPDATE {table} SET {set} FROM (VALUES …) AS v {tail}`. `types` gives
    /// the SQL type of each value (`BIGINT` or `TEXT`).
    ///
    /// # Errors
    /// As [`Tx::exec`].
    pub fn update_all(
        &mut self,
        table: &str,
        set: &str,
        types: &[&str],
        values: &[Value<'_>],
        tail: &str,
    ) -> Result<u64> {
        let width = types.len();
        debug_assert!(width > 0 && values.len().is_multiple_of(width), "values are whole rows");
        let mut changed = 0;
        let mut rest = values;
        for batch in BATCHES {
            let size = batch * width;
            if rest.len() < size {
                continue;
            }
            // PostgreSQL takes the types of all rows from the first one.
            let first: Vec<String> = (1..=width).map(|i| format!("CAST(${i} AS {})", types[i - 1])).collect();
            let mut rows = format!("({})", first.join(", "));
            for row in 1..batch {
                rows.push_str(", ");
                push_row(&mut rows, row * width, width);
            }
            let sql = format!("UPDATE {table} SET {set} FROM (VALUES {rows}) AS v {tail}");
            while rest.len() >= size {
                let (now, later) = rest.split_at(size);
                rest = later;
                changed += self.exec(&sql, now)?;
            }
        }
        Ok(changed)
    }

    /// Runs several statements without parameters.
    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        let result = match &mut self.connection {
            Connection::Sqlite(connection) => connection.execute_batch(sql).map_err(|e| Error::from_sqlite(sql, e)),
            Connection::Postgres { client, .. } => client.batch_execute(sql).map_err(|e| Error::from_postgres(sql, e)),
        };
        self.poisoned |= result.is_err();
        result
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.connection, Connection::Postgres { .. })
    }
}

fn placeholders(rows: usize, width: usize) -> String {
    let mut out = String::with_capacity(rows * width * 6);
    for row in 0..rows {
        if row > 0 {
            out.push_str(", ");
        }
        push_row(&mut out, row * width, width);
    }
    out
}

fn push_row(out: &mut String, before: usize, width: usize) {
    use std::fmt::Write as _;
    out.push('(');
    for column in 1..=width {
        let comma = if column > 1 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}${}", before + column);
    }
    out.push(')');
}

/// SQLite numbers `$1` by first appearance, `?1` by its number: that is what we mean.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn sqlite_exec(connection: &rusqlite::Connection, sql: &str, params: &[Value<'_>]) -> Result<u64> {
    let run = || -> rusqlite::Result<usize> {
        let mut statement = connection.prepare_cached(&numbered(sql))?;
        bind(&mut statement, params)?;
        statement.raw_execute()
    };
    run().map(|rows| rows as u64).map_err(|e| Error::from_sqlite(sql, e))
}

fn sqlite_each(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Value<'_>],
    mut see: impl FnMut(&mut Row<'_>) -> Result<()>,
) -> Result<()> {
    let failed = |e| Error::from_sqlite(sql, e);
    let mut statement = connection.prepare_cached(&numbered(sql)).map_err(failed)?;
    bind(&mut statement, params).map_err(failed)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        see(&mut Row::sqlite(row))?;
    }
    Ok(())
}

fn bind(statement: &mut rusqlite::CachedStatement<'_>, params: &[Value<'_>]) -> rusqlite::Result<()> {
    for (index, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

/// More than this many texts and the cache starts anew: a bound, not a policy; ours are far fewer.
const MAX_STATEMENTS: usize = 1000;

fn prepared(client: &mut postgres::Client, statements: &mut Statements, sql: &str) -> Result<postgres::Statement> {
    if let Some(statement) = statements.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(sql).map_err(|e| Error::from_postgres(sql, e))?;
    if statements.len() >= MAX_STATEMENTS {
        statements.clear();
    }
    statements.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}

fn postgres_exec(
    client: &mut postgres::Client,
    statements: &mut Statements,
    sql: &str,
    params: &[Value<'_>],
) -> Result<u64> {
    let statement = prepared(client, statements, sql)?;
    let params: Vec<&(dyn postgres::types::ToSql + Sync)> = params.iter().map(|v| v as _).collect();
    client
        .execute(&statement, &params)
        .map_err(|e| Error::from_postgres(sql, e))
}

fn postgres_each(
    client: &mut postgres::Client,
    statements: &mut Statements,
    sql: &str,
    params: &[Value<'_>],
    mut see: impl FnMut(&mut Row<'_>) -> Result<()>,
) -> Result<()> {
    use postgres::fallible_iterator::FallibleIterator as _;
    let failed = |e| Error::from_postgres(sql, e);
    let statement = prepared(client, statements, sql)?;
    let mut rows = client.query_raw(&statement, params.iter().copied()).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        see(&mut Row::postgres(&row))?;
    }
    Ok(())
}
