//! From a checked configuration to the Plan of one pipeline: parallel jobs are expanded, the graph is checked, rules
//! are evaluated for the context, names are expanded.

mod budget;
mod cache_key;
mod circle;
mod environment;
mod facts;
mod graph;
mod job;
mod layers;
mod matrix;
mod members;
mod pipeline;
mod policy;
mod select;
mod skip;
mod steps;
mod workflow;
mod world;

pub(crate) use pipeline::{check, create};
pub(crate) use skip::is_requested as skip_is_requested;
