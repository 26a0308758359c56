//! The real binary, as a user starts it: commands without a server, `exec`, and a server with a runner.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod environments;
mod exec;
mod files;
mod github;
mod parity;
mod runner;
mod server;
mod shell;
mod world;
