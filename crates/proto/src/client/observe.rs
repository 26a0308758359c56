//! What metrics see of the calls.

use std::time::Duration;

/// One finished call, after its retries.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// `request_job`, `update_job`, `patch_trace`, `reset_token`, …
    pub endpoint: &'static str,
    pub method: &'static str,
    /// HTTP status, -1 or -100.
    pub status: i32,
    pub took: Duration,
}

/// Counts calls. Called on the task that makes the call: must not block.
pub trait Observer: Send + Sync {
    fn call(&self, call: &Call);
    /// A request is about to be repeated.
    fn retry(&self, endpoint: &'static str, method: &'static str);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn call(&self, _: &Call) {}
    fn retry(&self, _: &'static str, _: &'static str) {}
}
