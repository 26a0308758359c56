//! Frames over a connection.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Decoder, Frame, SILENCE};

/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// The reading half.
#[derive(Debug)]
pub struct Receiver<R> {
    from: R,
    decoder: Decoder,
    piece: BytesMut,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// Nothing is read yet.
    pub fn new(from: R) -> Self {
        Self {
            from,
            decoder: Decoder::new(),
            piece: BytesMut::new(),
        }
    }

    /// The next frame; `None`: the other end has closed the connection. Can be dropped at any time without losing one.
    ///
    /// # Errors
    /// The connection broke, was silent for [`SILENCE`], or what came is no frame.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let frame = self.decoder.take();
            if let Some(frame) = frame.map_err(|wrong| io::Error::new(io::ErrorKind::InvalidData, wrong))? {
                return Ok(Some(frame));
            }
            self.piece.reserve(PIECE);
            let read = tokio::time::timeout(SILENCE, self.from.read_buf(&mut self.piece)).await;
            if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Ok(None);
            }
            self.decoder.push(&self.piece);
            self.piece.clear();
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub struct Sender<W> {
    to: W,
    /// Bytes of frames that were begun and could not be written yet.
    pending: BytesMut,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    /// Nothing is written yet.
    pub fn new(to: W) -> Self {
        Self {
            to,
            pending: BytesMut::new(),
        }
    }

    /// Writes a frame. Dropped in between, what is left of it goes before the next one: frames stay whole.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        frame.encode(&mut self.pending);
        self.to.write_all_buf(&mut self.pending).await?;
        self.to.flush().await
    }

    /// Writes the last frame and closes the connection.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn finish(mut self, frame: &Frame) -> io::Result<()> {
        self.send(frame).await?;
        self.to.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_frame_that_was_interrupted_stays_whole() {
        let (ours, theirs) = tokio::io::duplex(8);
        let (mut sender, mut receiver) = (Sender::new(ours), Receiver::new(theirs));
        let first = Frame::Data(Bytes::from_static(b"much longer than what fits"));
        // Nobody reads: it cannot be written to its end.
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), sender.send(&first)).await;
        assert!(given_up.is_err());
        let last = Frame::Closed("over".to_owned());
        let (sent, frames) = tokio::join!(sender.finish(&last), async {
            [receiver.next().await, receiver.next().await, receiver.next().await].map(|frame| frame.expect("is whole"))
        });
        sent.expect("is read");
        assert_eq!(frames, [Some(first), Some(last), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_end() {
        let (_ours, theirs) = tokio::io::duplex(8);
        let silent = Receiver::new(theirs).next().await.expect_err("nobody speaks");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
    }
}
