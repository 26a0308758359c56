//! The docker executor against a real engine. `TASUKI_TEST_DOCKER` names its socket; `cargo xtask test docker` starts one.
//!
//! The tests are ignored by default: they need an engine, and say so when they are asked for without one.

#[path = "../executor/conformance.rs"]
mod conformance;
mod engine;
mod entrypoints;
mod faults;
mod guards;
mod jobs;
mod left;
mod many;
mod nested;
mod own;
mod registry;
mod services;
mod settings;
#[path = "../executor/terminals.rs"]
mod terminals;
mod wishes;
