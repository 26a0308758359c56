//! The container engine's HTTP API: as much of it as a runner needs.
//!
//! Spoken with the HTTP client that everything else uses ([`reqwest`], hyper below it), over the socket or over TCP with
//! rustls. A client generated from the API's description would bring some hundred types of which a dozen are needed, and
//! with them a second way to connect. Requests are JSON values where the engine takes what the configuration says, and
//! types where we look into an answer.

mod attach;
mod calls;
mod client;
mod error;
mod types;

pub(super) use attach::{Attached, Piece};
pub(super) use calls::{Force, Pull};
pub(super) use client::{Address, Engine};
pub(super) use error::{Error, Result};
pub(super) use types::{Container, ImageInfo, Summary};
