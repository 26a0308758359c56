//! The jobs of one pipeline, who waits for whom, and what may go on.
//!
//! [`Graph`] holds the state of every job and keeps counters per stage, workflow and set of needs, so that
//! an event costs what it changes and not what the pipeline holds. The rules are GitLab's (composite status,
//! stages, needs, manual and delayed jobs); GitHub's conditions and CircleCI's required statuses are
//! properties of a node, not of a language.
//!
//! Use: [`Graph::apply`] what happened, [`Graph::settle`] to let everything follow that must, then
//! [`Graph::drain`] what is to be stored and done.

mod class;
mod core;
mod node;
mod plan;
mod reset;
mod settle;

pub use class::{Class, Counts, SetKind, composite};
pub use core::{Action, Changes, Graph};
pub use node::{Ancestry, Edge, NodeIndex, Spec, Strategy, Wanted, Work};
pub use plan::{BuildError, specs};
pub use settle::{AlwaysTrue, Conditions};

#[cfg(test)]
mod tests;
