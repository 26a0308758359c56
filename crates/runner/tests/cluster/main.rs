//! The kubernetes executor against a real cluster. `KUBECONFIG` names it; `cargo xtask test kubernetes` says what else it needs.
//!
//! The tests are ignored by default: they need a cluster, and say so when they are asked for without one.

mod account;
mod attacks;
mod cluster;
#[path = "../executor/conformance.rs"]
mod conformance;
mod dind;
mod faults;
mod jobs;
mod left;
mod lifetime;
mod measured;
mod namespaces;
mod parts;
mod pause;
mod registry;
mod reports;
mod rights;
mod stream;
#[path = "../executor/terminals.rs"]
mod terminals;
mod volumes;
