//! The parts of a line that are not text: the head with the time, and the markers of sections.

/// Head that the runner writes before each physical line: time, stream, and whether it goes on with the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// RFC 3339 with microseconds, as written.
    pub(super) time: &'a str,
    /// Written by the job to its error stream.
    pub(super) error: bool,
    pub(super) continues: bool,
}

/// Bytes of a head: `2006-01-02T15:04:05.000000Z 01O `.
const HEAD: usize = 32;

/// Takes the head off a physical line, if it has one.
pub(super) fn split_head(line: &str) -> (Option<Head<'_>>, &str) {
    let bytes = line.as_bytes();
    let shape = b"0000-00-00T00:00:00.000000Z ";
    let fits = bytes.len() >= HEAD
        && bytes.iter().zip(shape).all(|(have, want)| {
            if *want == b'0' {
                have.is_ascii_digit()
            } else {
                have == want
            }
        })
        && bytes[28..30].iter().all(u8::is_ascii_hexdigit)
        && matches!(bytes[30], b'O' | b'E')
        && matches!(bytes[31], b' ' | b'+');
    if !fits {
        return (None, line);
    }
    let head = Head {
        time: &line[..27],
        error: bytes[30] == b'E',
        continues: bytes[31] == b'+',
    };
    (Some(head), &line[HEAD..])
}

/// A marker that starts or ends a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Marker {
    Start { at: i64, name: String, collapsed: bool },
    End { at: i64, name: String },
}

/// Longest name of a section; a longer one is text.
const LONGEST_NAME: usize = 100;

/// The first marker in `text`: what stands before it, the marker, what follows.
///
/// GitLab's form: `section_start:<unix seconds>:<name>[options]\r` and the same with `section_end`.
pub(super) fn split_marker(text: &str) -> Option<(&str, Marker, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("section_").map(|at| at + from) {
        if let Some((marker, length)) = marker(&text[at..]) {
            return Some((&text[..at], marker, &text[at + length..]));
        }
        from = at + "section_".len();
    }
    None
}

fn marker(text: &str) -> Option<(Marker, usize)> {
    let end = text.find('\r')?;
    let body = &text[..end];
    let (starts, body) = match body.strip_prefix("section_start:") {
        Some(body) => (true, body),
        None => (false, body.strip_prefix("section_end:")?),
    };
    let (at, name) = body.split_once(':')?;
    let at = at.parse::<i64>().ok().filter(|at| *at >= 0)?;
    let (name, options) = match name.split_once('[') {
        Some((name, options)) => (name, options.strip_suffix(']')?),
        None => (name, ""),
    };
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let name = fits.then(|| name.to_owned())?;
    let marker = if starts {
        Marker::Start {
            at,
            name,
            collapsed: options.split(',').any(|option| option.trim() == "collapsed=true"),
        }
    } else {
        Marker::End { at, name }
    };
    Some((marker, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_off() {
        let check = |line: &str, expected: Option<(bool, bool)>, text: &str| {
            let (head, rest) = split_head(line);
            assert_eq!(head.map(|h| (h.error, h.continues)), expected, "{line}");
            assert_eq!(rest, text);
        };
        check("2026-08-01T10:11:12.123456Z 01O hello", Some((false, false)), "hello");
        check("2026-08-01T10:11:12.123456Z 01E+hello", Some((true, true)), "hello");
        check(
            "2026-08-01T10:11:12.123456Z 01X hello",
            None,
            "2026-08-01T10:11:12.123456Z 01X hello",
        );
        check("2026-08-01T10:11:12Z hello", None, "2026-08-01T10:11:12Z hello");
        check("", None, "");
        check(
            "2026-08-01T10:11:12.123456Z 0öO hello",
            None,
            "2026-08-01T10:11:12.123456Z 0öO hello",
        );
    }

    #[test]
    fn markers_are_found() {
        let start = |collapsed| Marker::Start {
            at: 17,
            name: "get_sources".into(),
            collapsed,
        };
        let check =
            |text: &str, expected: Option<(&str, Marker, &str)>| assert_eq!(split_marker(text), expected, "{text:?}");
        check(
            "section_start:17:get_sources\r\u{1b}[0KTitle",
            Some(("", start(false), "\u{1b}[0KTitle")),
        );
        check(
            "section_start:17:get_sources[hide_duration=true,collapsed=true]\rT",
            Some(("", start(true), "T")),
        );
        check(
            "a section_end:19:x\rb",
            Some((
                "a ",
                Marker::End {
                    at: 19,
                    name: "x".into(),
                },
                "b",
            )),
        );
        check("section_start:17:get_sources", None);
        check("section_start:x:get_sources\r", None);
        check("section_start:17:<b>\r", None);
        check("section_start:17:\r", None);
        check(
            "section_section_end:19:x\r",
            Some((
                "section_",
                Marker::End {
                    at: 19,
                    name: "x".into(),
                },
                "",
            )),
        );
    }
}
