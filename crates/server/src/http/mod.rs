//! Everything that is reached over HTTP.

pub mod error;
mod headers;
mod listener;
mod request_id;
