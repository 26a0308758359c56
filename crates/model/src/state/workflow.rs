//! A workflow: it lives as its pipeline does, made from the jobs that are its own.

pub use super::pipeline::{Effect, Event, State};
