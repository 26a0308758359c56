//! The channels of a program in one web socket (`v5.channel.k8s.io`, `v4.channel.k8s.io`): the first byte of a message says which it
//! belongs to.
//!
//! `kube` has the same over three pipes and a task, with buffers for many megabytes a second in every connection. Here nothing waits
//! but what was received and is not taken yet, and a connection that says nothing costs little: a runner has one for each job.

use bytes::{Buf as _, Bytes};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::client::Connection;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const NOISE: u8 = 2;
/// A [`Status`], when the program has ended.
const STATUS: u8 = 3;

/// What is read at once: as much as one record of TLS holds.
const READ: usize = 16 << 10;

/// The longest message that is sent, as `kubectl` has it.
const PIECE: usize = 32 << 10;

/// How much a guest's own standard error may say when it fails.
const MAX_NOISE: usize = 4 << 10;

/// What a program reads.
pub(super) struct Input(Mutex<SplitSink<Socket, Message>>);

/// What a program says.
pub(super) struct Output {
    from: SplitStream<Socket>,
    noise: Vec<u8>,
    status: Option<Status>,
}

/// Both directions, for use at the same time.
pub(super) async fn open(connection: Connection) -> (Input, Output) {
    // Nothing is read from it yet: what it has been given is not lost.
    let raw = connection.into_stream().into_inner();
    let config = WebSocketConfig::default().read_buffer_size(READ);
    let (to, from) = Socket::from_raw_socket(raw, Role::Client, Some(config)).await.split();
    let output = Output {
        from,
        noise: Vec::new(),
        status: None,
    };
    (Input(Mutex::new(to)), output)
}

impl Input {
    /// Writes, and says whether it could. A program that is gone is seen by the end of its output.
    pub(super) async fn write(&self, bytes: &[u8]) -> bool {
        let mut to = self.0.lock().await;
        for piece in bytes.chunks(PIECE) {
            if to.feed(message(piece)).await.is_err() {
                return false;
            }
        }
        to.flush().await.is_ok()
    }
}

fn message(piece: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(piece.len() + 1);
    bytes.push(INPUT);
    bytes.extend_from_slice(piece);
    Message::binary(bytes)
}

impl Output {
    /// The next piece of standard output, never an empty one; `None` at its end, or at the connection's. Dropping the future loses
    /// nothing.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        while self.status.is_none() {
            let mut bytes = match self.from.next().await?.ok()? {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return None,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            // A channel may be opened by a message that has nothing but its number.
            if bytes.len() < 2 {
                continue;
            }
            match bytes.get_u8() {
                OUTPUT => return Some(bytes),
                NOISE => {
                    let room = MAX_NOISE.saturating_sub(self.noise.len());
                    self.noise.extend_from_slice(&bytes[..room.min(bytes.len())]);
                }
                STATUS => self.status = Some(serde_json::from_slice(&bytes).ok()?),
                _ => {}
            }
        }
        None
    }

    /// What is known of the program's end, and what it said of it. Call it at the end of the output.
    pub(super) fn end(self) -> (Option<Status>, String) {
        (self.status, String::from_utf8_lossy(&self.noise).trim().to_owned())
    }
}
