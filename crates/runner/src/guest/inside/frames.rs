//! Taking the guest's output apart.

use std::io;

use super::protocol::Kind;

/// The largest frame.
const MAX_FRAME: usize = 256 << 20;

/// Length of a frame's head.
const HEAD: usize = 5;

/// Bytes of a guest's output that make no whole frame yet.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Given out already.
    used: usize,
}

impl Frames {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, once it is whole.
    ///
    /// # Errors
    /// It is none of the guest's.
    pub(crate) fn take(&mut self) -> io::Result<Option<(Kind, &[u8])>> {
        let Some(head) = self.bytes[self.used..].first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let kind = Kind::of(head[0]).filter(|_| length <= MAX_FRAME);
        let kind = kind.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what it says is not the guest's"))?;
        let start = self.used + HEAD;
        if self.bytes.len() < start + length {
            return Ok(None);
        }
        self.used = start + length;
        Ok(Some((kind, &self.bytes[start..self.used])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_in_pieces_of_any_size() {
        let whole = b"\x01\x03\0\0\0out\x04\0\0\0\0\x02\x03\0\0\0err\x03\x02\0\0\0{}";
        for size in 1..=whole.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in whole.chunks(size) {
                frames.feed(piece);
                while let Some((kind, bytes)) = frames.take().expect("is the guest's") {
                    found.push((kind, bytes.to_vec()));
                }
            }
            let wanted = [
                (Kind::Stdout, b"out".to_vec()),
                (Kind::Alive, Vec::new()),
                (Kind::Stderr, b"err".to_vec()),
                (Kind::Answer, b"{}".to_vec()),
            ];
            assert_eq!(found, wanted, "{size}");
        }
        let mut other = Frames::default();
        other.feed(b"sh: not found");
        other.take().expect_err("is something else");
    }
}
