//! A connection that was turned into the channels of a process.

use std::io;

use reqwest::Upgraded;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::Mutex;

/// Pieces that are read at once.
const BUFFER: usize = 64 << 10;

/// Standard input, output and error of a process without a terminal. Dropping it closes them.
#[derive(Debug)]
pub(in crate::executor::docker) struct Attached {
    input: Mutex<WriteHalf<Upgraded>>,
    output: Mutex<Reader>,
}

#[derive(Debug)]
struct Reader {
    stream: ReadHalf<Upgraded>,
    /// Bytes left of the piece that the last head announced, and its stream.
    left: usize,
    number: u8,
    buffer: Vec<u8>,
}

/// What was read: bytes of standard output (1) or standard error (2).
#[derive(Debug)]
pub(in crate::executor::docker) enum Piece {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    End,
}

impl Attached {
    pub(super) fn new(stream: Upgraded) -> Self {
        let (stream, input) = tokio::io::split(stream);
        Self {
            input: Mutex::new(input),
            output: Mutex::new(Reader {
                stream,
                left: 0,
                number: 0,
                buffer: vec![0; BUFFER],
            }),
        }
    }

    /// Writes to standard input.
    pub(in crate::executor::docker) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut input = self.input.lock().await;
        input.write_all(bytes).await?;
        input.flush().await
    }

    /// The next piece. Must not be dropped before it is ready, unless nothing more is to be read.
    pub(in crate::executor::docker) async fn read(&self) -> io::Result<Piece> {
        let mut output = self.output.lock().await;
        let Reader {
            stream,
            left,
            number,
            buffer,
        } = &mut *output;
        while *left == 0 {
            let mut head = [0; 8];
            match stream.read_exact(&mut head).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Piece::End),
                Err(error) => return Err(error),
            }
            *number = head[0];
            *left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        }
        let most = (*left).min(buffer.len());
        let read = stream.read(&mut buffer[..most]).await?;
        *left -= read;
        let bytes = buffer[..read].to_vec();
        match (read, *number) {
            (0, _) => Ok(Piece::End),
            (_, 2) => Ok(Piece::Stderr(bytes)),
            _ => Ok(Piece::Stdout(bytes)),
        }
    }
}
