//! Lifecycles: enums whose variants hold the data that exists only then.
//!
//! Each has one pure `apply(event, now)` that gives the next state and the [effects](task::Effect) that must
//! follow, or refuses. Nobody else changes a state, so the list of transitions in a file here is complete;
//! the store saves the result by compare-and-swap. Refusing is how late and doubled messages lose: the first
//! accepted result stays.

pub mod deployment;
pub mod environment;
pub mod job;
pub mod outcome;
pub mod pipeline;
pub mod retry;
pub mod session;
mod status;
pub mod task;
pub mod workflow;

pub use outcome::{Failure, Outcome};
pub use status::Status;

/// An event that a state does not accept. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {from} does not accept `{event}`")]
pub struct BadTransition {
    /// `task`, `job`, `pipeline`, …
    pub what: &'static str,
    /// Name of the present state.
    pub from: &'static str,
    /// Name of the refused event.
    pub event: &'static str,
}
