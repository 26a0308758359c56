//! Where the output of commands goes.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Takes the output of a command.
///
/// The sandbox calls `write` with pieces of any size, cut anywhere (also inside a character), in the order in which
/// they were read, one call at a time for each command. It reads on only when the call returns: a slow output
/// slows the job down instead of filling memory. Nothing is written after the call that ran the command returned.
#[async_trait]
pub trait Output: Send + Sync {
    async fn write(&self, stream: Stream, bytes: &[u8]);
}

/// Drops everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

#[async_trait]
impl Output for Discard {
    async fn write(&self, _stream: Stream, _bytes: &[u8]) {}
}

/// Keeps everything in memory, for tests and short commands.
#[derive(Debug, Default)]
pub struct Collected {
    pieces: Mutex<Vec<(Stream, Vec<u8>)>>,
}

impl Collected {
    /// Both streams in the order of arrival.
    #[must_use]
    pub fn all(&self) -> Vec<u8> {
        self.joined(|_| true)
    }

    /// One stream.
    #[must_use]
    pub fn of(&self, stream: Stream) -> Vec<u8> {
        self.joined(|one| one == stream)
    }

    /// Both streams as text, damaged characters replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.all()).into_owned()
    }

    fn joined(&self, wanted: impl Fn(Stream) -> bool) -> Vec<u8> {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces
            .iter()
            .filter(|(stream, _)| wanted(*stream))
            .flat_map(|(_, bytes)| bytes.iter().copied())
            .collect()
    }
}

#[async_trait]
impl Output for Collected {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        self.pieces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((stream, bytes.to_vec()));
    }
}
