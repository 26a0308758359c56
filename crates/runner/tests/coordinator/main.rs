//! The whole runner against a second implementation of the coordinator's side, written from the protocol's description and
//! not from our server: raw JSON, its own reading of ranges and states.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

mod bench;
mod custom;
mod fake;
mod jobs;
mod keys;
mod object_store;
mod peers;
mod registration;
mod serve;
mod settings;
mod steps;
mod trace;
