//! What runs for long: the runtimes, the log, signals, the server and the runner.

mod log;
mod runtime;
mod signal;

pub(crate) use log::{LogFormat, start_log};
pub(crate) use runtime::{block_on, server_runtime};
pub(crate) use signal::{Interrupts, Request};
