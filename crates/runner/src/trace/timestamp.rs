//! Line heads: `2006-01-02T15:04:05.000000Z 01O ` before each line of a stream.

/// Longest piece of a line: a longer one is split.
const LONGEST: usize = 8 * 1024;

/// One stream's lines. The head's flag is a space where a line starts and `+` where it goes on after a split:
/// behind a carriage return without line feed, after 8 KiB, or where an unfinished line was shown early.
#[derive(Debug)]
pub(super) struct Timestamper {
    /// `00O`, `01E`, …
    stream: [u8; 3],
    line: Vec<u8>,
    /// When the first byte of `line` came.
    since_ms: i64,
    continues: bool,
    /// The last byte of `line` is a `\r`, and it is not known yet whether a `\n` follows.
    carriage: bool,
    second: (i64, String),
}

impl Timestamper {
    pub(super) fn new(stream: [u8; 3]) -> Self {
        Self {
            stream,
            line: Vec::new(),
            since_ms: 0,
            continues: false,
            carriage: false,
            second: (i64::MIN, String::new()),
        }
    }

    /// Takes bytes, appends whole lines (and pieces of long ones) to `out`.
    pub(super) fn write(&mut self, bytes: &[u8], now_ms: i64, out: &mut Vec<u8>) {
        for byte in bytes {
            if self.line.is_empty() {
                self.since_ms = now_ms;
            }
            if self.carriage {
                self.carriage = false;
                if *byte != b'\n' {
                    self.emit(out);
                    self.continues = true;
                    self.since_ms = now_ms;
                }
            }
            match *byte {
                b'\n' => {
                    self.emit(out);
                    self.continues = false;
                }
                other => {
                    self.line.push(other);
                    self.carriage = other == b'\r';
                    // Not inside a character: a piece must be UTF-8 on its own.
                    if self.line.len() >= LONGEST && !self.carriage && (other < 0x80 || complete(&self.line)) {
                        self.emit(out);
                        self.continues = true;
                    }
                }
            }
        }
    }

    /// Shows an unfinished line that has waited since before `before_ms`; the rest of it will be marked `+`.
    pub(super) fn show_unfinished(&mut self, before_ms: i64, out: &mut Vec<u8>) {
        if !self.line.is_empty() && !self.carriage && self.since_ms <= before_ms {
            self.emit(out);
            self.continues = true;
        }
    }

    /// When the unfinished line began, if there is one.
    pub(super) fn unfinished_since(&self) -> Option<i64> {
        (!self.line.is_empty() && !self.carriage).then_some(self.since_ms)
    }

    /// The stream ends: an unfinished line is finished.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.emit(out);
        }
        self.continues = false;
        self.carriage = false;
    }

    fn emit(&mut self, out: &mut Vec<u8>) {
        let at = if self.line.is_empty() {
            self.since_ms
        } else {
            self.since_ms.max(0)
        };
        self.head(at, out);
        out.extend_from_slice(&self.line);
        out.push(b'\n');
        self.line.clear();
    }

    fn head(&mut self, at_ms: i64, out: &mut Vec<u8>) {
        let (second, milli) = (at_ms.div_euclid(1000), at_ms.rem_euclid(1000));
        if self.second.0 != second {
            let time = jiff::Timestamp::from_second(second).unwrap_or_default();
            self.second = (second, time.strftime("%Y-%m-%dT%H:%M:%S.").to_string());
        }
        out.extend_from_slice(self.second.1.as_bytes());
        out.extend_from_slice(format!("{milli:03}000Z ").as_bytes());
        out.extend_from_slice(&self.stream);
        out.push(if self.continues { b'+' } else { b' ' });
    }
}

/// Whether the last character of `line` (not ASCII) is whole.
fn complete(line: &[u8]) -> bool {
    let from = line.len().saturating_sub(4);
    let tail = &line[from..];
    let Some(start) = tail.iter().rposition(|byte| byte & 0xc0 != 0x80) else {
        return true;
    };
    std::str::from_utf8(&tail[start..]).is_ok()
}
