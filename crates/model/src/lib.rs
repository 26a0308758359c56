//! The words and rules of tasuki: ids, the [`plan::Plan`], lifecycles, expressions, the job graph.
//!
//! No I/O, no clock, no randomness and no tokio: every function here is pure, so that server, runner,
//! tests and simulation share one set of rules. Whoever needs the time passes a [`time::Timestamp`].

pub mod cache_key;
pub mod environment;
pub mod expr;
pub mod graph;
pub mod id;
pub mod labels;
pub mod plan;
pub mod reason;
pub mod secret;
pub mod state;
pub mod time;
pub mod trigger;
