//! An interactive terminal in a running job: what travels on a connection that was upgraded to one.
//!
//! A person's client and the job's runner each open a connection to the server, which passes frames from one to the
//! other. A frame is one byte of kind, four bytes of length (big endian) and at most [`MAX_PAYLOAD`] bytes:
//!
//! | Kind | Payload | Direction |
//! |---|---|---|
//! | 0 data | bytes as typed or printed; empty from the typing side: end of input; empty from the shell: nothing | both |
//! | 1 resize | columns, rows: two bytes each, big endian | to the shell |
//! | 2 exit | the shell's exit code: four bytes, big endian; the last frame | from the shell |
//! | 3 closed | UTF-8 text for people: why it ended without an exit code; the last frame | both |
//! | 4 start | JSON of [`Start`]; the first frame | to the shell |
//!
//! Both ends send something at least every [`PULSE`], a resize to the same size or empty data where there is nothing
//! else: proxies leave the connection open, and who hears nothing for [`SILENCE`] knows that the other end is gone.

mod frame;
mod stream;

use std::time::Duration;

pub use frame::{Decoder, Error, Frame, Input, MAX_PAYLOAD, Start};
pub use stream::{Receiver, Sender};

/// The token of the HTTP `Upgrade` header.
pub const UPGRADE: &str = "tasuki-terminal";

/// Longest pause between two frames of a living end.
pub const PULSE: Duration = Duration::from_secs(20);

/// Silence after which an end counts as gone.
pub const SILENCE: Duration = Duration::from_secs(60);
