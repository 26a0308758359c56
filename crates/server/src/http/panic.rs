//! A panic in a handler ends that request only.

use std::any::Any;

use axum::response::{IntoResponse as _, Response};

use super::error::{Code, Problem};

/// Tells the log what the panic said and the caller only that it happened.
pub(super) fn answer(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or("without a message");
    tracing::error!(message, "a handler panicked");
    Problem::new(Code::Internal, "the cause is in the server's log under this request id").into_response()
}
