//! The server as its clients see it: over real HTTP, with a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod artifacts;
mod authorisation;
mod by_hand;
mod continuation;
mod environments;
mod life;
mod pages;
mod payload;
mod pulls;
mod registration;
mod releases;
mod rest;
mod support;
mod terminals;
mod trace;
mod triggers;
mod ui;
