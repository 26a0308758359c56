//! What the runner tells the supervisor and hears from it.
//!
//! Frames on a stream socket: four bytes of length (little endian), then JSON.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Cgroup, User};

/// The largest frame: scripts, environments and guest requests of many megabytes fit.
const MAX_FRAME: usize = 256 << 20;

/// A program to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// Program (searched in `PATH` of `env`) and its arguments. Never put a secret here.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    pub stdin: Stdin,
    /// Who runs it; absent = who runs the runner.
    pub user: Option<User>,
}

/// Standard input of a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    Null,
    Text(String),
    /// All three channels are the terminal that the supervisor was given as its output, and the program leads a session
    /// on it.
    Terminal,
}

/// Runner to supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Start {
        spec: Box<Spec>,
        /// That of the program.
        cgroup: Option<Cgroup>,
    },
    Terminate,
    Kill,
}

/// Supervisor to runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    Started {
        pid: i32,
    },
    NotStarted {
        errno: i32,
    },
    /// The program itself ended. `alone`: it left nobody behind, and this is the last event.
    Ended {
        end: End,
        alone: bool,
    },
    /// Nothing that the program started is alive. The last event.
    Empty,
}

/// How the program ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Code(i32),
    Signal(i32),
}

/// A frame.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Length of the frame that begins with these bytes.
pub(crate) fn frame_length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too large"));
    }
    Ok(length)
}

/// Writes one message, blocking.
pub(super) fn send<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Reads one message, blocking; `None` at the end of the stream.
pub(super) fn receive<T: for<'de> Deserialize<'de>>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; frame_length(head)?];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}
