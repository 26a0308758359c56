//! The whole runner against a second implementation of the coordinator's side, written from the protocol's description and
//! not from our server: raw JSON, its own reading of ranges and states.

mod bench;
mod fake;
mod jobs;
mod registration;
mod trace;
