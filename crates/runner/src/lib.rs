//! Claim → sandbox → steps → trace. Meets the server only through `tasuki_proto`.

pub mod commands;
pub mod config;
pub mod executor;
pub mod guest;
pub mod identity;
pub mod job;
pub mod metrics;
pub mod poll;
pub mod process;
pub mod script;
pub mod trace;
