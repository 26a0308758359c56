//! The database: tables, migrations and every query, for SQLite and PostgreSQL from one SQL text.
//!
//! A store operation is a small synchronous function over a transaction, `fn(&mut Tx, …) -> Result<T>`.
//! [`Store::write`] runs one and answers after the commit is durable; on SQLite a single writer thread
//! gathers the operations that arrive while a commit is under way into the next one (group commit), on
//! PostgreSQL a pool of connections runs each in its own transaction. [`Store::read`] gives a snapshot
//! that writers never wait for.
//!
//! Rules for SQL text here: columns are `TEXT` or `BIGINT` (and one byte type), placeholders `$1`,
//! times are milliseconds, truth values are 0 and 1, no `$` inside a literal, no functions that only one
//! of the two databases has.

pub mod archive;
#[doc(hidden)]
pub mod bench;
mod engine;
mod error;
mod migrate;
mod notify;
pub mod retention;
mod row;
mod store;
mod table;
mod tx;
mod url;
mod value;

pub use error::{Error, Result};
pub use notify::Notification;
pub use row::{Cell, Column, Record, Row};
pub use store::{Notifications, Options, Store};
pub use table::{
    State, artifacts, blobs, bridges, caches, deliveries, deployments, environments, jobs, logs, merge_requests, pages,
    pipelines, projects, releases, resource_classes, resource_groups, runners, schedules, sessions, settings, tasks,
    tokens, users, variables, workflows,
};
pub use tx::Tx;
pub use url::DbUrl;
pub use value::Value;
