//! The real binary, as a user starts it: commands without a server, `exec`, and a server with a runner.

mod exec;
mod files;
mod server;
mod world;
