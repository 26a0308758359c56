//! Replaces what is not UTF-8 by U+FFFD.

/// State of one stream: a character that is not complete yet (at most three bytes).
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    held: Vec<u8>,
}

impl Utf8 {
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            joined = [&self.held[..], bytes].concat();
            self.held.clear();
            &joined[..]
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(_) => {
                    out.extend_from_slice(rest);
                    return;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    out.extend_from_slice(good);
                    let Some(length) = error.error_len() else {
                        self.held.extend_from_slice(bad);
                        return;
                    };
                    out.extend_from_slice("\u{fffd}".as_bytes());
                    rest = &bad[length..];
                }
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.held.clear();
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}
