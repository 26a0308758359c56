//! The store's suite: every test runs on SQLite, in memory and in a file, and on PostgreSQL.
//!
//! PostgreSQL is started from the server binaries of this machine for the time of the run. Where there are
//! none that part is skipped, and says so on stderr.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod bench;
mod concurrency;
mod crash;
mod database;
mod engine;
mod environments;
mod history;
mod migration;
mod postgres_server;
mod releases;
mod retention;
mod sample;
mod tables;

/// Declares one test for each database: `name::memory`, `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($(#[$meta:meta])* fn $name:ident($database:ident) $body:block)*) => {$(
        $crate::on_each_shared_database! { $(#[$meta])* fn $name($database) $body {
            $(#[$meta])*
            #[test]
            fn memory() {
                run(&$crate::database::Database::memory());
            }
        } }
    )*};
}
pub(crate) use on_each_database;

/// The same without `memory`: for tests that open a database more than once.
macro_rules! on_each_shared_database {
    ($($(#[$meta:meta])* fn $name:ident($database:ident) $body:block $({ $($more:item)* })?)*) => {$(
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "not every body needs all")]
            use super::*;

            fn run($database: &$crate::database::Database) $body

            $($($more)*)?

            $(#[$meta])*
            #[test]
            fn sqlite() {
                run(&$crate::database::Database::sqlite());
            }

            $(#[$meta])*
            #[test]
            fn postgres() {
                if let Some(database) = $crate::database::Database::postgres() {
                    run(&database);
                }
            }
        }
    )*};
}
pub(crate) use on_each_shared_database;
