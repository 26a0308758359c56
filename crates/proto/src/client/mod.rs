//! Typed clients of the runner protocol and of the REST API.

mod api;
mod error;
mod job;
mod observe;
mod retry;
mod runner;
mod transport;

pub use api::{ApiClient, ApiError};
pub use error::CallError;
pub use job::{JobSignal, PatchAnswer, PatchOutcome, UpdateAnswer, UpdateOutcome};
pub use observe::{Call, Observer, Silent};
pub use retry::RetryPolicy;
pub use runner::{DebugTrace, Polled, Requested, RunnerClient, Verified, request_id};
pub use transport::{TlsFiles, Transport, TransportConfig, TransportError, api_base};
