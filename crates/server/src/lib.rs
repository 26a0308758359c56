//! The server: HTTP, web UI, triggers, scheduler, logs, blobs, secrets, identity.
//!
//! Start it with [`App::start`]; the returned [`Running`] tells the address and stops everything in order.

pub mod app;
pub mod blobs;
pub mod config;
mod environments;
pub mod git;
pub mod http;
pub mod identity;
pub mod logs;
pub mod metrics;
pub mod payload;
pub mod scheduler;
pub mod secrets;
pub mod terminals;
pub mod triggers;
pub mod ui;
