//! Header names of the protocol, lower-cased as HTTP libraries want them.

/// Authenticates runner-scoped calls.
pub const RUNNER_TOKEN: &str = "runner-token";
/// Authenticates job-scoped calls (log, state, artifacts).
pub const JOB_TOKEN: &str = "job-token";
/// A personal access token; only the reset of a runner's token by id takes it.
pub const PRIVATE_TOKEN: &str = "private-token";
/// A fresh id per request; the server echoes it.
pub const REQUEST_ID: &str = "x-request-id";
/// Opaque state of the queue: sent on 204, returned as `last_update`, never sent on 201.
pub const LAST_UPDATE: &str = "x-gitlab-last-update";
/// State of the job, on every answer to a log or state call.
pub const JOB_STATUS: &str = "job-status";
/// Seconds until the next log upload.
pub const TRACE_UPDATE_INTERVAL: &str = "x-gitlab-trace-update-interval";
/// HTTP date until which a rate-limited client waits. Goes before `Retry-After`.
pub const RATE_LIMIT_RESET: &str = "ratelimit-resettime";
/// Ours: milliseconds until the next contact that keeps the lease. Only sent to runners that announce `tasuki`.
pub const HEARTBEAT_INTERVAL_MS: &str = "x-tasuki-heartbeat-interval-ms";
/// Ours: set to `1` by a long poll of a runner that announces `tasuki`, on every answer of a server that knows it.
pub const TASUKI: &str = "x-tasuki";
/// Ours: key of the cache that was found for a prefix.
pub const CACHE_KEY: &str = "x-tasuki-cache-key";
/// Ours: somebody wants a terminal in the job; the one-time id under which the runner fetches it. Only sent to runners that
/// announce [`super::feature::TASUKI_TERMINAL`].
pub const TERMINAL: &str = "x-tasuki-terminal";
