//! One frame: turns values into bytes, and pieces of bytes of any cut into values. No input or output here.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Largest payload of one frame in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

const HEAD: usize = 5;
const LAST_KIND: u8 = 4;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What was typed or printed.
    Data(Bytes),
    /// The window has this size now, in characters.
    Resize { columns: u16, rows: u16 },
    /// The shell ended with this exit code. Nothing follows.
    Exit(i32),
    /// The terminal ended for this reason. Nothing follows.
    Closed(String),
    /// What is to run. The first frame to the shell.
    Start(Start),
}

/// What is to run on the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// Program and arguments; empty = a shell.
    #[serde(default)]
    pub command: Vec<String>,
    /// `TERM` of the person's own terminal; empty = unknown.
    #[serde(default)]
    pub term: String,
    /// Who types.
    #[serde(default)]
    pub input: Input,
    /// Size of the window in characters.
    pub columns: u16,
    pub rows: u16,
}

/// Who types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    #[default]
    Person,
    /// A file or a program, whose end is the end of the input.
    Pipe,
}

/// The other side does not speak this protocol. The connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a terminal frame of unknown kind {0}")]
    Kind(u8),
    #[error("a terminal frame of {length} bytes: at most {MAX_PAYLOAD} are read")]
    TooLarge { length: usize },
    #[error("a terminal frame of kind {kind} with {length} bytes")]
    Length { kind: u8, length: usize },
    #[error("a terminal's last message is not UTF-8")]
    Text,
    #[error("a terminal's first message cannot be read: {0}")]
    Start(String),
}

impl Frame {
    /// Appends the frame to `out`. Data larger than [`MAX_PAYLOAD`] becomes several frames; a longer text is cut at the
    /// end of a character.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Data(bytes) if bytes.is_empty() => put(out, 0, &[]),
            Self::Data(bytes) => bytes.chunks(MAX_PAYLOAD).for_each(|piece| put(out, 0, piece)),
            Self::Resize { columns, rows } => {
                let [a, b] = columns.to_be_bytes();
                let [c, d] = rows.to_be_bytes();
                put(out, 1, &[a, b, c, d]);
            }
            Self::Exit(code) => put(out, 2, &code.to_be_bytes()),
            Self::Closed(text) => put(out, 3, &text.as_bytes()[..text.floor_char_boundary(MAX_PAYLOAD)]),
            // Plain text in plain fields: it always is JSON. One that is too large is refused by who reads it.
            Self::Start(start) => put(out, 4, &serde_json::to_vec(start).unwrap_or_default()),
        }
    }

    fn decode(kind: u8, payload: Bytes) -> Result<Self, Error> {
        let wrong = Error::Length {
            kind,
            length: payload.len(),
        };
        match kind {
            0 => Ok(Self::Data(payload)),
            1 => match *payload {
                [a, b, c, d] => Ok(Self::Resize {
                    columns: u16::from_be_bytes([a, b]),
                    rows: u16::from_be_bytes([c, d]),
                }),
                _ => Err(wrong),
            },
            2 => payload
                .as_ref()
                .try_into()
                .map(|code| Self::Exit(i32::from_be_bytes(code)))
                .map_err(|_| wrong),
            3 => String::from_utf8(payload.into())
                .map(Self::Closed)
                .map_err(|_| Error::Text),
            4 => serde_json::from_slice(&payload)
                .map(Self::Start)
                .map_err(|wrong| Error::Start(wrong.to_string())),
            unknown => Err(Error::Kind(unknown)),
        }
    }
}

fn put(out: &mut BytesMut, kind: u8, payload: &[u8]) {
    out.reserve(HEAD + payload.len());
    out.put_u8(kind);
    // At most MAX_PAYLOAD, but for a start that nobody could type.
    out.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.put_slice(payload);
}

/// Puts frames together again. Holds what was pushed and not yet taken: take all frames before the next push, and it is
/// never more than one frame and one piece.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a piece as it was read.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame; `None`: more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no frame. A bad head is told at once, before its payload is there.
    pub fn take(&mut self) -> Result<Option<Frame>, Error> {
        let Some(&[kind, a, b, c, d]) = self.buffer.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind > LAST_KIND {
            return Err(Error::Kind(kind));
        }
        if length > MAX_PAYLOAD {
            return Err(Error::TooLarge { length });
        }
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let payload = self.buffer.split_to(length).freeze();
        Frame::decode(kind, payload).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frames: &[Frame]) -> BytesMut {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        out
    }

    fn decoded(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, Error> {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            while let Some(frame) = decoder.take()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_survive_any_cut() {
        let frames = [
            Frame::Start(Start {
                command: vec!["ls".to_owned(), "-l".to_owned()],
                term: "xterm".to_owned(),
                input: Input::Pipe,
                columns: 80,
                rows: 24,
            }),
            Frame::Resize { columns: 80, rows: 24 },
            Frame::Data(Bytes::from_static(b"ls\xff\r\n")),
            Frame::Data(Bytes::new()),
            Frame::Resize {
                columns: u16::MAX,
                rows: 0,
            },
            Frame::Exit(-1),
            Frame::Exit(137),
            Frame::Closed("Schluß".to_owned()),
        ];
        let bytes = encoded(&frames);
        for piece in 1..=bytes.len() {
            assert_eq!(decoded(&bytes, piece).as_deref(), Ok(&frames[..]), "pieces of {piece}");
        }
    }

    #[test]
    fn a_frame_has_its_bytes() {
        let check = |frame: Frame, bytes: &[u8]| assert_eq!(encoded(&[frame]), bytes);
        check(Frame::Data(Bytes::from_static(b"a")), b"\0\0\0\0\x01a");
        check(Frame::Resize { columns: 258, rows: 3 }, b"\x01\0\0\0\x04\x01\x02\0\x03");
        check(Frame::Exit(2), b"\x02\0\0\0\x04\0\0\0\x02");
        check(Frame::Closed("x".to_owned()), b"\x03\0\0\0\x01x");
    }

    #[test]
    fn what_is_too_large_is_cut() {
        let data = Bytes::from(vec![b'x'; MAX_PAYLOAD + 1]);
        let frames = decoded(&encoded(&[Frame::Data(data)]), 4096).expect("is well-formed");
        let sizes: Vec<_> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Data(bytes) => bytes.len(),
                _ => 0,
            })
            .collect();
        assert_eq!(sizes, [MAX_PAYLOAD, 1]);
        let text = "ü".repeat(MAX_PAYLOAD);
        let frames = decoded(&encoded(&[Frame::Closed(format!("a{text}"))]), 4096).expect("is well-formed");
        assert_eq!(frames, [Frame::Closed(format!("a{}", "ü".repeat(MAX_PAYLOAD / 2 - 1)))]);
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |bytes: &[u8], error: Error| assert_eq!(decoded(bytes, 1), Err(error), "{bytes:?}");
        check(b"GET / HTTP/1.1\r\n", Error::Kind(b'G'));
        check(b"\x05\0\0\0\0", Error::Kind(5));
        check(
            b"\0\0\x01\0\x01",
            Error::TooLarge {
                length: MAX_PAYLOAD + 1,
            },
        );
        check(b"\0\xff\xff\xff\xff", Error::TooLarge { length: 0xffff_ffff });
        check(b"\x01\0\0\0\x03abc", Error::Length { kind: 1, length: 3 });
        check(b"\x02\0\0\0\0", Error::Length { kind: 2, length: 0 });
        check(b"\x03\0\0\0\x01\xff", Error::Text);
        check(
            b"\x04\0\0\0\x01{",
            Error::Start("EOF while parsing an object at line 1 column 1".to_owned()),
        );
    }
}
