//! Masks the values of sensitive query parameters: `?private_token=x&a=b` becomes `?private_token=[MASKED]&a=b`.
//!
//! Names are no secret, so nothing is held back.

use super::filter::MASK;

const NAMES: &[&[u8]] = &[
    b"private_token",
    b"authenticity_token",
    b"rss_token",
    b"x-amz-signature",
    b"x-amz-credential",
    b"x-amz-security-token",
];

const LONGEST: usize = 20;

/// State of one stream.
#[derive(Debug, Default)]
pub(super) struct QueryFilter {
    name: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind `?` or `&`.
    Name,
    /// Behind `=` of a sensitive name.
    Value,
    /// The mask is written, the rest of the value is dropped.
    Dropping,
}

impl QueryFilter {
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if matches!(self.state, State::Value | State::Dropping) {
                if !ends_value(*byte) {
                    if self.state == State::Value {
                        out.extend_from_slice(MASK);
                        self.state = State::Dropping;
                    }
                    continue;
                }
                self.state = State::Text;
            }
            out.push(*byte);
            match *byte {
                b'?' | b'&' => {
                    self.state = State::Name;
                    self.name.clear();
                }
                b'=' if self.state == State::Name => {
                    let sensitive = NAMES.iter().any(|name| name.eq_ignore_ascii_case(&self.name));
                    self.state = if sensitive { State::Value } else { State::Text };
                }
                other if self.state == State::Name => {
                    let part = other.is_ascii_alphanumeric() || matches!(other, b'_' | b'-');
                    if part && self.name.len() < LONGEST {
                        self.name.push(other);
                    } else {
                        self.state = State::Text;
                    }
                }
                _ => {}
            }
        }
    }
}

fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'&' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'#')
}
