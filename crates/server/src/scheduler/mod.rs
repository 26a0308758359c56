//! Decides which task runs when and where, and moves jobs and pipelines on.
//!
//! The rules are pure and live in `tasuki_model` (`state`, `graph`, `labels`). Here they meet the database:
//! every public call is one transaction over the store in which an event changes a task, its job, what
//! follows in the graph and the pipeline's row. The row's version is the compare-and-swap that guards all of
//! them, so any number of servers may work on one database.
//!
//! What is kept in memory is only a cache or an index of the database and may be lost at any instant:
//! [`cache`] (graphs of live pipelines, live tasks), [`queue`] (tasks that wait, by fair share), [`dispatch`]
//! (long polls that wait), [`leases`]. All of it follows commits and is rebuilt at the start.

mod advance;
mod auto_cancel;
mod bridges;
mod cache;
mod claim;
mod conditions;
mod control;
mod create;
mod dispatch;
mod entry;
mod environments;
mod error;
mod events;
mod facade;
mod leases;
mod op;
pub mod outputs;
mod pages;
mod queue;
mod resources;
mod start;
mod sweep;
mod tasks;
mod why;

pub use claim::{ClaimedTask, RunnerIdentity};
pub use control::Play;
pub use create::{Content, Created, NewPipeline};
pub use environments::HowToStop;
pub use error::Error;
pub use events::Event;
pub use facade::{Scheduler, Settings};
pub use op::Core;
pub use tasks::{Report, Reported};
pub use why::{Cause, Pending};

#[cfg(test)]
mod tests;
