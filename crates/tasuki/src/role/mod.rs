//! What runs for long: the runtimes, the log, signals, the server and the runner.

mod log;
mod memory;
mod runner;
mod runtime;
mod server;
mod signal;

pub(crate) use log::{LogFormat, LogSettings, start_log};
pub(crate) use memory::settle_when_idle;
pub(crate) use runner::{
    LocalExecutor, LocalRunner, Registration, RunningRunner, local_settings, new_token, register_inside,
};
pub(crate) use runtime::{block_on, server_runtime};
pub(crate) use server::{reachable, read_config, start_server};
pub(crate) use signal::{Interrupts, Request};
