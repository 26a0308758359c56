//! Diagnostics for people.

use std::fmt::Write as _;

use super::{Diagnostic, Severity};

/// Where the lines of the files are found that a diagnostic quotes.
pub trait Excerpts {
    /// A line (from 1) of a file, if it is at hand.
    fn line(&self, file: &str, line: u32) -> Option<&str>;
}

/// No quotes.
impl Excerpts for () {
    fn line(&self, _file: &str, _line: u32) -> Option<&str> {
        None
    }
}

/// Prints a diagnostic with the source line, hint and trail; ends with a line feed. With colour codes if `colour`.
///
/// ```text
/// error[gitlab-unknown-key]: unknown key `scirpt` in job `build`
///   --> .gitlab-ci.yml:3:3
///    |
///  3 |   scirpt: make
///    |   ^^^^^^
///    = hint: did you mean `script`?
/// ```
#[must_use]
pub fn human(diagnostic: &Diagnostic, excerpts: &dyn Excerpts, colour: Colour) -> String {
    let paint = |code: &str, text: &str| match colour {
        Colour::Never => text.to_owned(),
        Colour::Always => format!("\x1b[{code}m{text}\x1b[0m"),
    };
    let tone = match diagnostic.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Info => "1;36",
    };
    let mut out = String::new();
    let head = format!("{}[{}]", diagnostic.severity.as_str(), diagnostic.code);
    let _ = writeln!(out, "{}: {}", paint(tone, &head), clean(&diagnostic.message));
    if !diagnostic.file.is_empty() {
        let place = match diagnostic.line {
            0 => diagnostic.file.clone(),
            line => format!("{}:{line}:{}", diagnostic.file, diagnostic.column),
        };
        let _ = writeln!(out, "  {} {}", paint("1;34", "-->"), clean(&place));
    }
    let number = diagnostic.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = paint("1;34", "|");
    if let Some(line) = excerpts
        .line(&diagnostic.file, diagnostic.line)
        .filter(|_| diagnostic.line > 0)
    {
        let (shown, before) = cut(line, diagnostic.column as usize);
        let room = shown.chars().count().saturating_sub(before).max(1);
        let marks = "^".repeat(usize::from(diagnostic.length).clamp(1, room));
        let _ = writeln!(out, " {margin} {bar}");
        let _ = writeln!(out, " {} {bar} {shown}", paint("1;34", &number));
        let _ = writeln!(out, " {margin} {bar} {}{}", " ".repeat(before), paint(tone, &marks));
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(
            out,
            " {margin} {} {} {}",
            paint("1;34", "="),
            paint("1", "hint:"),
            clean(hint)
        );
    }
    for step in &diagnostic.trail {
        let _ = writeln!(out, " {margin} {} {}", paint("1;34", "="), clean(step));
    }
    out
}

/// Whether terminal colours are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Never,
    Always,
}

/// The part of a long line around a column, and how many characters stand before the column in it.
fn cut(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 160;
    let from = column.saturating_sub(1).saturating_sub(WIDTH / 2);
    let from = if line.chars().count() <= WIDTH { 0 } else { from };
    let shown: String = line.chars().skip(from).take(WIDTH).map(visible).collect();
    (shown, column.saturating_sub(1) - from)
}

/// Control characters of a configuration must not reach a terminal.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { ' ' } else { visible(c) }).collect()
}
