//! Bytes of a log, in any cut, to pieces of HTML.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::ansi::{self, Style};
use super::line::{self, Marker};

/// Longest text of a line that is shown; the raw log has the rest.
const LONGEST_LINE: usize = 16 * 1024;
/// Sections deeper than this are not nested further.
const DEEPEST: usize = 16;

/// One change of the shown log. Applied in order they give the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Piece {
    /// A new line.
    Line { n: u64, html: String },
    /// The content of an earlier line (the last one, or the title of the last section) is now this.
    Amend { n: u64, html: String },
    /// A section starts; the lines that follow belong to it. `html` is its title, line `n`.
    Open { n: u64, html: String, collapsed: bool },
    /// The innermost section ended, after so many seconds.
    Close { seconds: i64 },
}

struct Section {
    name: String,
    started: i64,
}

/// Turns a log into pieces. Feed it from the first byte on, in any cut: the shown result is the same.
#[derive(Default)]
pub struct Renderer {
    /// Bytes of a physical line whose end has not come.
    carry: Vec<u8>,
    /// Text of the logical line at hand that is not settled, markers taken off.
    text: String,
    time: String,
    error: bool,
    /// In force at the start of the line at hand, and after it.
    before: Style,
    after: Style,
    /// Number of the line at hand, once it was emitted.
    shown: Option<u64>,
    /// The line at hand is the title of a section that starts with it.
    opens: Option<(String, i64, bool)>,
    sections: Vec<Section>,
    lines: u64,
}

impl Renderer {
    /// How many lines there are so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes the next bytes; appends what changes. An unfinished line is shown as far as it is known.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.carry.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let physical = std::mem::take(&mut self.carry);
            self.physical(&String::from_utf8_lossy(&physical), out);
        }
        self.carry.extend_from_slice(rest);
    }

    /// Shows what has come of the last line although its end is missing.
    pub fn flush(&mut self, out: &mut Vec<Piece>) {
        if !self.carry.is_empty() {
            let physical = std::mem::take(&mut self.carry);
            self.physical(&String::from_utf8_lossy(&physical), out);
        }
    }

    fn physical(&mut self, physical: &str, out: &mut Vec<Piece>) {
        let (head, text) = line::split_head(physical);
        let continues = head.is_some_and(|head| head.continues);
        if !continues {
            self.next_line();
        }
        if let Some(head) = head
            && self.time.is_empty()
        {
            head.time.clone_into(&mut self.time);
            self.error = head.error;
        }
        self.text.push_str(text);
        let marked = self.markers(out);
        // A line that holds nothing but the end of a section is no line; nor is one that only moved on.
        let only_moved_on = (marked || continues) && self.opens.is_none() && self.shown.is_none();
        if !(only_moved_on && is_blank(&self.text)) {
            self.show(out);
        }
    }

    /// The line at hand is settled; what follows belongs to another.
    fn next_line(&mut self) {
        self.text.clear();
        self.time.clear();
        self.error = false;
        self.shown = None;
        self.opens = None;
        self.before = self.after;
    }

    /// Takes all markers off the text. Returns whether there were any.
    fn markers(&mut self, out: &mut Vec<Piece>) -> bool {
        let mut any = false;
        while let Some((before, marker, rest)) = line::split_marker(&self.text) {
            any = true;
            let (before, rest) = (before.to_owned(), rest.to_owned());
            if !is_blank(&before) || self.opens.is_some() {
                self.text = before;
                self.show(out);
                let time = std::mem::take(&mut self.time);
                self.next_line();
                self.time = time;
            }
            self.text = rest;
            match marker {
                Marker::Start { at, name, collapsed } => {
                    if self.sections.len() < DEEPEST {
                        self.opens = Some((name, at, collapsed));
                        self.shown = None;
                    }
                }
                Marker::End { at, name } => self.close(&name, at, out),
            }
        }
        any
    }

    fn close(&mut self, name: &str, at: i64, out: &mut Vec<Piece>) {
        let Some(place) = self.sections.iter().rposition(|section| section.name == name) else {
            return;
        };
        while self.sections.len() > place {
            if let Some(section) = self.sections.pop() {
                out.push(Piece::Close {
                    seconds: at.saturating_sub(section.started).max(0),
                });
            }
        }
        self.shown = None;
    }

    fn show(&mut self, out: &mut Vec<Piece>) {
        let (mut html, style) = self.html();
        self.after = style;
        if let Some(n) = self.shown {
            out.push(Piece::Amend { n, html });
            return;
        }
        self.lines += 1;
        let n = self.lines;
        self.shown = Some(n);
        match self.opens.take() {
            Some((name, started, collapsed)) => {
                if is_blank(&self.text) {
                    html.clear();
                    ansi::escape(&name.replace('_', " "), &mut html);
                }
                self.sections.push(Section { name, started });
                out.push(Piece::Open { n, html, collapsed });
            }
            None => out.push(Piece::Line { n, html }),
        }
    }

    /// Content of the line at hand and the style after it.
    fn html(&self) -> (String, Style) {
        let mut style = self.before;
        let mut html = String::with_capacity(self.text.len() + 64);
        if !self.time.is_empty() {
            let clock = self.time.get(11..23).unwrap_or_default();
            let _ = write!(html, "<time datetime=\"{}\">{clock}</time>", self.time);
        }
        if self.error {
            html.push_str("<span class=\"err\">");
        }
        let (text, left) = cut(visible(&self.text, &mut style));
        ansi::render(text, &mut style, &mut html);
        if left > 0 {
            let _ = write!(
                html,
                "<span class=\"cut\">… {left} more bytes are in the raw log</span>"
            );
        }
        if self.error {
            html.push_str("</span>");
        }
        (html, style)
    }
}

/// What a terminal would leave of a line that returns to its start: the last part that has text.
fn visible<'a>(text: &'a str, style: &mut Style) -> &'a str {
    let text = text.trim_end_matches('\r');
    let Some(mut at) = text.rfind('\r') else { return text };
    // A return followed by nothing but colours shows what stood before it.
    while is_blank(&text[at..]) {
        match text[..at].rfind('\r') {
            Some(earlier) => at = earlier,
            None => return text,
        }
    }
    ansi::render(&text[..at], style, &mut String::new());
    &text[at + 1..]
}

fn cut(text: &str) -> (&str, usize) {
    if text.len() <= LONGEST_LINE {
        return (text, 0);
    }
    let at = (0..=LONGEST_LINE)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    (&text[..at], text.len() - at)
}

/// Whether nothing of it would be seen.
fn is_blank(text: &str) -> bool {
    let mut html = String::new();
    ansi::render(text, &mut Style::default(), &mut html);
    html.is_empty() || text.trim().is_empty()
}

/// Pieces as the markup of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub html: String,
    /// Sections that are open at the end: what comes later belongs into the innermost.
    pub depth: usize,
}

/// Pieces as the markup of a page, from line `from` on. Sections that are open there are opened again.
#[must_use]
pub fn page(pieces: &[Piece], from: u64) -> Page {
    let mut amended = HashMap::new();
    for piece in pieces {
        if let Piece::Amend { n, html } = piece {
            amended.insert(*n, html.as_str());
        }
    }
    let mut out = String::new();
    // Of sections that began before `from`: their markup while nothing of them is in the page.
    let mut open: Vec<Option<String>> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Amend { .. } => {}
            Piece::Line { n, html } if *n >= from => {
                reopen(&mut open, &mut out);
                line_markup(*n, amended.get(n).copied().unwrap_or(html), &mut out);
            }
            Piece::Line { .. } => {}
            Piece::Open { n, html, collapsed } => {
                let html = amended.get(n).copied().unwrap_or(html);
                open.push(Some(section_markup(*n, html, *collapsed && *n >= from)));
                if *n >= from {
                    reopen(&mut open, &mut out);
                }
            }
            Piece::Close { seconds } => {
                if let Some(None) = open.pop() {
                    // What took no time to speak of needs no number.
                    if *seconds > 0 {
                        let _ = write!(out, "<span class=\"took\">{}</span>", duration(*seconds));
                    }
                    out.push_str("</details>");
                }
            }
        }
    }
    // What is still open goes on below: also what nothing of was shown so far.
    reopen(&mut open, &mut out);
    for _ in &open {
        out.push_str("</details>");
    }
    Page {
        html: out,
        depth: open.len(),
    }
}

fn reopen(open: &mut [Option<String>], out: &mut String) {
    for section in open {
        if let Some(markup) = section.take() {
            out.push_str(&markup);
        }
    }
}

fn line_markup(n: u64, html: &str, out: &mut String) {
    let _ = writeln!(
        out,
        "<div class=\"l\" id=\"L{n}\"><a href=\"#L{n}\">{n}</a><span>{html}</span></div>"
    );
}

fn section_markup(n: u64, html: &str, collapsed: bool) -> String {
    let open = if collapsed { "" } else { " open" };
    format!(
        "<details class=\"sec\"{open}><summary class=\"l\" id=\"L{n}\"><a href=\"#L{n}\">{n}</a><span>{html}</span></summary>\n"
    )
}

fn duration(seconds: i64) -> String {
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(log: &str, cut: usize) -> Vec<Piece> {
        let mut renderer = Renderer::default();
        let mut out = Vec::new();
        for part in log.as_bytes().chunks(cut) {
            renderer.push(part, &mut out);
        }
        renderer.flush(&mut out);
        out
    }

    const LOG: &str = "Running\n\
        2026-08-01T10:11:12.123456Z 00O section_start:10:get_sources\r\n\
        2026-08-01T10:11:12.123456Z 00O+\u{1b}[0K\u{1b}[36;1mGetting sources\u{1b}[0;m\n\
        2026-08-01T10:11:13.000000Z 01O from git\n\
        2026-08-01T10:11:13.000000Z 01E a warning <b>\n\
        2026-08-01T10:11:14.000000Z 00O section_end:14:get_sources\r\n\
        2026-08-01T10:11:14.000000Z 00O+\u{1b}[0K\n\
        10%\r50%\r100%\n\
        done";

    #[test]
    fn the_cut_does_not_matter() {
        let whole = page(&pieces(LOG, LOG.len()), 1);
        for cut in 1..40 {
            assert_eq!(page(&pieces(LOG, cut), 1), whole, "cut into parts of {cut} bytes");
        }
    }

    #[test]
    fn a_log_becomes_lines_and_sections() {
        let html = page(&pieces(LOG, 7), 1).html;
        let expected = "<div class=\"l\" id=\"L1\"><a href=\"#L1\">1</a><span>Running</span></div>\n\
            <details class=\"sec\" open><summary class=\"l\" id=\"L2\"><a href=\"#L2\">2</a><span>\
            <time datetime=\"2026-08-01T10:11:12.123456Z\">10:11:12.123</time><span class=\"b f6\">Getting sources</span>\
            </span></summary>\n\
            <div class=\"l\" id=\"L3\"><a href=\"#L3\">3</a><span><time datetime=\"2026-08-01T10:11:13.000000Z\">10:11:13.000</time>from git</span></div>\n\
            <div class=\"l\" id=\"L4\"><a href=\"#L4\">4</a><span><time datetime=\"2026-08-01T10:11:13.000000Z\">10:11:13.000</time>\
            <span class=\"err\">a warning &lt;b&gt;</span></span></div>\n\
            <span class=\"took\">4 s</span></details>\
            <div class=\"l\" id=\"L5\"><a href=\"#L5\">5</a><span>100%</span></div>\n\
            <div class=\"l\" id=\"L6\"><a href=\"#L6\">6</a><span>done</span></div>\n";
        assert_eq!(html, expected);
    }

    #[test]
    fn a_page_may_start_inside_a_section() {
        let html = page(&pieces(LOG, 100), 4).html;
        assert!(
            html.starts_with("<details class=\"sec\" open><summary class=\"l\" id=\"L2\">"),
            "{html}"
        );
        assert!(!html.contains("id=\"L3\"") && html.contains("id=\"L4\""));
        assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
    }

    #[test]
    fn markup_is_balanced_whatever_comes() {
        let attacks = [
            "section_end:1:x\r\nsection_start:1:a\rA\nsection_start:1:b\rB\nsection_end:2:a\rafter\n",
            "section_start:1:a[collapsed=true]\r\nsection_start:2:a\r\n",
            "section_start:1:</details><script>\rA\n</div></details><script>alert(1)</script>\n",
            "\u{1b}[31mopen\nstill red\n",
        ];
        for attack in attacks {
            let html = page(&pieces(attack, 5), 1).html;
            assert_eq!(
                html.matches("<details").count(),
                html.matches("</details>").count(),
                "{html}"
            );
            assert_eq!(html.matches("<div").count(), html.matches("</div>").count(), "{html}");
            assert_eq!(html.matches("<span").count(), html.matches("</span>").count(), "{html}");
            assert!(!html.contains("<script"), "{html}");
        }
        let deep: String = (0..100).map(|i| format!("section_start:1:s{i}\rS\n")).collect();
        let Page { html, depth } = page(&pieces(&deep, 1000), 1);
        assert_eq!(depth, DEEPEST);
        assert_eq!(html.matches("<details").count(), DEEPEST);
    }

    #[test]
    fn a_long_line_says_that_it_is_cut() {
        let html = page(&pieces(&"ü".repeat(LONGEST_LINE), 4096), 1).html;
        assert!(
            html.contains(&format!("… {LONGEST_LINE} more bytes are in the raw log")),
            "{}",
            &html[html.len() - 200..]
        );
    }
}
