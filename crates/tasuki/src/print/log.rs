//! Job logs as people read them: without line heads, section marks and, where colours are not wanted, colour codes.

use super::Style;

/// A piece of a line, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Goes on where the piece before ended (a line that was split).
    pub(crate) continues: bool,
}

/// Takes a stored log apart, however its bytes are cut.
#[derive(Debug)]
pub(crate) struct LogReader {
    style: Style,
    pending: Vec<u8>,
    /// The piece before was a section mark that started its line.
    after_mark: bool,
}

impl LogReader {
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            pending: Vec::new(),
            after_mark: false,
        }
    }

    /// Takes the next bytes, gives the pieces that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.pending.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line, &mut pieces);
        }
        pieces
    }

    /// The last piece, should the log not end with a line feed.
    pub(crate) fn finish(mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.line(&rest, &mut pieces);
        }
        pieces
    }

    fn line(&mut self, raw: &[u8], pieces: &mut Vec<Piece>) {
        let text = String::from_utf8_lossy(raw);
        let (mut continues, text) = without_head(text.trim_end_matches('\n'));
        // A mark ends with a carriage return; what follows it on the same line is the section's title.
        let mut shown = String::new();
        let mut marked = false;
        for part in text.split('\r') {
            if part.starts_with("section_start:") || part.starts_with("section_end:") {
                marked = true;
            } else if !part.is_empty() {
                // The rest overwrites what stood there, as it does on a terminal.
                shown = part.replace("\x1b[0K", "");
            }
        }
        if std::mem::replace(&mut self.after_mark, marked && shown.is_empty() && text.ends_with('\r')) && continues {
            continues = false;
            marked = true;
        }
        if marked && shown.is_empty() {
            return;
        }
        let text = if self.style == Style::Plain {
            without_codes(&shown)
        } else {
            shown
        };
        pieces.push(Piece { text, continues });
    }
}

/// `2026-01-02T03:04:05.678901Z 01O text` → whether it continues, and the text. Lines without a head are as they are.
fn without_head(line: &str) -> (bool, &str) {
    let bytes = line.as_bytes();
    let head = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let shape = head(4, b'-') && head(10, b'T') && head(26, b'Z') && head(27, b' ');
    let kind = matches!(bytes.get(30), Some(b'O' | b'E'));
    match (shape && kind && line.is_char_boundary(32), bytes.get(31)) {
        (true, Some(b' ')) => (false, line.get(32..).unwrap_or_default()),
        (true, Some(b'+')) => (true, line.get(32..).unwrap_or_default()),
        _ => (false, line),
    }
}

/// Removes escape sequences and other control characters but tabs.
fn without_codes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
                }
            }
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A whole log as text.
pub(crate) fn readable(log: &[u8], style: Style) -> String {
    let mut reader = LogReader::new(style);
    let mut pieces = reader.push(log);
    pieces.extend(reader.finish());
    let mut out = String::new();
    for piece in pieces {
        if !piece.continues && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&piece.text);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-02T03:04:05.678901Z 00O \x1b[0KRunning with tasuki\n\
        2026-01-02T03:04:05.678901Z 00O section_start:1:step_script\r\n\
        2026-01-02T03:04:05.678901Z 00O+\x1b[0K\x1b[36;1mExecuting\x1b[0;m\n\
        2026-01-02T03:04:05.678901Z 01O $ echo hi\n\
        2026-01-02T03:04:05.678901Z 01O long li\n\
        2026-01-02T03:04:05.678901Z 01O+ne\n\
        2026-01-02T03:04:05.678901Z 01O \n\
        2026-01-02T03:04:05.678901Z 00O section_end:2:step_script\r\n\
        2026-01-02T03:04:05.678901Z 00O+\x1b[0K\n\
        without a head\n\
        section_start:1:x\r\x1b[0Ktitle\n\
        50%\r100%\nno end";
    const TEXT: &str = "Running with tasuki\nExecuting\n$ echo hi\nlong line\n\nwithout a head\ntitle\n100%\nno end\n";

    #[test]
    fn a_log_reads_like_a_terminal_however_it_is_cut() {
        assert_eq!(readable(LOG.as_bytes(), Style::Plain), TEXT);
        for at in 0..LOG.len() {
            let mut reader = LogReader::new(Style::Plain);
            let (first, second) = LOG.as_bytes().split_at(at);
            let mut pieces = reader.push(first);
            pieces.extend(reader.push(second));
            pieces.extend(reader.finish());
            let text: String = pieces
                .iter()
                .map(|p| {
                    if p.continues {
                        p.text.clone()
                    } else {
                        format!("\n{}", p.text)
                    }
                })
                .collect();
            assert_eq!(text.trim_start_matches('\n').to_owned() + "\n", TEXT, "cut at {at}");
        }
    }

    #[test]
    fn colours_stay_where_they_are_wanted() {
        let line = b"2026-01-02T03:04:05.678901Z 01O \x1b[31mred\x1b[0m\n";
        assert_eq!(readable(line, Style::Colour), "\x1b[31mred\x1b[0m\n");
        assert_eq!(readable(line, Style::Plain), "red\n");
    }
}
