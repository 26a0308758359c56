//! Colours of terminals (SGR sequences) to classes of a style sheet; all other control sequences are dropped.

use std::fmt::Write as _;

/// What is in force at a place in the log; carried from line to line as a terminal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    inverse: bool,
}

/// Longest control sequence that is looked for; a longer one is dropped as text would be.
const LONGEST_SEQUENCE: usize = 256;

impl Style {
    fn is_plain(self) -> bool {
        self == Self::default()
    }

    fn open(self, out: &mut String) {
        out.push_str("<span class=\"");
        let (fore, back) = if self.inverse {
            (self.back, self.fore)
        } else {
            (self.fore, self.back)
        };
        let flags = [
            (self.bold, "b"),
            (self.dim, "d"),
            (self.italic, "i"),
            (self.underline, "u"),
            (self.strike, "s"),
            (self.inverse && fore.is_none() && back.is_none(), "v"),
        ];
        let mut gap = "";
        for (_, name) in flags.into_iter().filter(|(set, _)| *set) {
            out.push_str(gap);
            out.push_str(name);
            gap = " ";
        }
        for (prefix, colour) in [('f', fore), ('g', back)] {
            if let Some(colour) = colour {
                let _ = write!(out, "{gap}{prefix}{colour}");
                gap = " ";
            }
        }
        out.push_str("\">");
    }

    /// Applies the numbers of one `ESC [ … m`.
    fn apply(&mut self, parameters: &str) {
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                7 => self.inverse = true,
                9 => self.strike = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                29 => self.strike = false,
                30..=37 => self.fore = u8::try_from(code - 30).ok(),
                38 => self.fore = extended(&mut codes).or(self.fore),
                39 => self.fore = None,
                40..=47 => self.back = u8::try_from(code - 40).ok(),
                48 => self.back = extended(&mut codes).or(self.back),
                49 => self.back = None,
                90..=97 => self.fore = u8::try_from(code - 82).ok(),
                100..=107 => self.back = u8::try_from(code - 92).ok(),
                _ => {}
            }
        }
    }
}

/// `5;n` is a colour of the palette, `2;r;g;b` the nearest one of it: classes can be listed in a style sheet,
/// free colours would need inline styles, which the page forbids.
fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => u8::try_from(codes.next()?).ok(),
        2 => {
            let mut level = || Some(nearest_level(codes.next()?));
            let (r, g, b) = (level()?, level()?, level()?);
            Some(16 + 36 * r + 6 * g + b)
        }
        _ => None,
    }
}

const LEVELS: [u16; 6] = [0, 95, 135, 175, 215, 255];

fn nearest_level(value: u16) -> u8 {
    let nearest = (0_u8..6).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(value));
    nearest.unwrap_or(0)
}

/// Appends `text` as HTML. `style` is what is in force before and, on return, after it.
pub(super) fn render(text: &str, style: &mut Style, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        span(&rest[..at], *style, out);
        rest = &rest[at..];
        let (length, parameters) = sequence(rest);
        if let Some(parameters) = parameters {
            style.apply(parameters);
        }
        rest = &rest[length..];
    }
    span(rest, *style, out);
}

/// Length of the control sequence that `text` starts with, and its parameters if it sets colours.
fn sequence(text: &str) -> (usize, Option<&str>) {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let end = bytes
                .iter()
                .skip(2)
                .take(LONGEST_SEQUENCE)
                .position(|b| (0x40..=0x7e).contains(b));
            let Some(end) = end.map(|at| at + 2) else {
                return (cut(text, LONGEST_SEQUENCE), None);
            };
            let sets_colours =
                bytes[end] == b'm' && bytes[2..end].iter().all(|b| b.is_ascii_digit() || b";:".contains(b));
            (end + 1, sets_colours.then(|| &text[2..end]))
        }
        // Titles and links of terminals end with BEL or ESC \.
        Some(b']') => {
            let end = bytes
                .iter()
                .skip(2)
                .position(|b| *b == 7 || *b == 0x1b)
                .map_or(bytes.len(), |at| at + 2);
            let end = match (bytes.get(end), bytes.get(end + 1)) {
                (Some(0x1b), Some(b'\\')) => end + 2,
                (Some(7), _) => end + 1,
                _ => end,
            };
            (end.max(2), None)
        }
        Some(b'(' | b')') => (cut(text, 3), None),
        Some(other) if other.is_ascii() => (2, None),
        _ => (1, None),
    }
}

/// The largest place up to `most` where `text` may be cut.
fn cut(text: &str, most: usize) -> usize {
    (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
        .max(1)
}

fn span(text: &str, style: Style, out: &mut String) {
    if text.is_empty() {
        return;
    }
    if style.is_plain() {
        linked(text, out);
    } else {
        style.open(out);
        linked(text, out);
        out.push_str("</span>");
    }
}

/// Text with its web addresses as links.
fn linked(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = address(rest) {
        escape(&rest[..at], out);
        let tail = &rest[at..];
        let stop = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`|\\^{}".contains(c) || is_reordering(c);
        let whole = tail.find(stop).unwrap_or(tail.len());
        let url = tail[..whole].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']);
        out.push_str("<a rel=\"noopener noreferrer nofollow\" href=\"");
        escape(url, out);
        out.push_str("\">");
        escape(url, out);
        out.push_str("</a>");
        rest = &tail[url.len()..];
    }
    escape(rest, out);
}

fn address(text: &str) -> Option<usize> {
    let find = |scheme: &str| {
        text.match_indices(scheme)
            .map(|(at, _)| at)
            .find(|at| text[at + scheme.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '['))
    };
    match (find("https://"), find("http://")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Characters that turn the reading direction: a log could show another text than it has.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Appends `text` such that it is text wherever it stands in HTML, between quotes too.
pub(in crate::ui) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push('\t'),
            c if is_reordering(c) => {
                let _ = write!(out, "<span class=\"ctl\">U+{:04X}</span>", u32::from(c));
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

/// The classes of the palette's 240 colours beyond the first sixteen, which themes define themselves.
#[must_use]
pub fn stylesheet() -> String {
    let mut out = String::with_capacity(16 * 1024);
    for n in 16_u16..256 {
        let (r, g, b) = if n < 232 {
            let i = n - 16;
            let level = |v: u16| LEVELS[usize::from(v % 6)];
            (level(i / 36), level(i / 6), level(i))
        } else {
            let grey = 8 + (n - 232) * 10;
            (grey, grey, grey)
        };
        let _ = writeln!(
            out,
            ".f{n}{{color:#{r:02x}{g:02x}{b:02x}}}.g{n}{{background:#{r:02x}{g:02x}{b:02x}}}"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        let mut out = String::new();
        render(text, &mut Style::default(), &mut out);
        out
    }

    #[test]
    fn colours_become_classes() {
        let check = |text: &str, expected: &str| assert_eq!(html(text), expected, "{text:?}");
        check("plain", "plain");
        check("\u{1b}[31mred\u{1b}[0m!", "<span class=\"f1\">red</span>!");
        check("\u{1b}[1;92mok\u{1b}[0;m", "<span class=\"b f10\">ok</span>");
        check("\u{1b}[38;5;208mx\u{1b}[39my", "<span class=\"f208\">x</span>y");
        check("\u{1b}[38;2;255;0;0mx", "<span class=\"f196\">x</span>");
        check("\u{1b}[7mx", "<span class=\"v\">x</span>");
        check("\u{1b}[7;31mx", "<span class=\"g1\">x</span>");
        check("\u{1b}[38;5mx", "x");
        check("\u{1b}[999999999mx", "x");
    }

    #[test]
    fn other_sequences_vanish() {
        let check = |text: &str, expected: &str| assert_eq!(html(text), expected, "{text:?}");
        check("a\u{1b}[0Kb\u{1b}[2J\u{1b}[1;1Hc", "abc");
        check("\u{1b}]0;title\u{7}x", "x");
        check("\u{1b}]8;;javascript:alert(1)\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link");
        check("a\u{1b}", "a");
        check("a\u{1b}[31", "a");
        check("a\u{0}\u{8}b", "ab");
        check("\u{1b}ö", "ö");
    }

    #[test]
    fn nothing_in_a_log_becomes_markup() {
        for attack in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "\u{1b}[31m<b>\u{1b}[\"><script>m",
            "https://x/\"onmouseover=\"alert(1)",
            "https://x/'><svg/onload=alert(1)>",
            "\u{1b}]8;;https://x\"><script>\u{7}y",
        ] {
            let html = html(attack);
            let stripped = html
                .replace("<a rel=\"noopener noreferrer nofollow\" href=\"", "")
                .replace("</a>", "")
                .replace("<span class=\"f1\">", "")
                .replace("</span>", "");
            let tags = stripped.matches('<').count();
            assert_eq!(tags, 0, "{attack:?} gave {html}");
        }
    }

    #[test]
    fn addresses_become_links() {
        assert_eq!(
            html("see (https://e.org/a?b=1&c=2)."),
            "see (<a rel=\"noopener noreferrer nofollow\" href=\"https://e.org/a?b=1&amp;c=2\">https://e.org/a?b=1&amp;c=2</a>)."
        );
        assert_eq!(html("http:// alone"), "http:// alone");
    }

    #[test]
    fn a_turn_of_direction_is_shown() {
        assert_eq!(html("a\u{202e}b"), "a<span class=\"ctl\">U+202E</span>b");
    }
}
