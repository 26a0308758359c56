//! Regular expressions with RE2's syntax and meaning.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

use super::Error;

/// A compiled `/…/flags`, searched unanchored.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Pattern {
    /// Compiles what stands between the slashes, `\/` meaning a slash. Flags are of `ismU`.
    ///
    /// # Errors
    /// [`Error::BadPattern`] with the reason.
    pub fn new(inner: &str, flags: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadPattern {
            pattern: inner.to_owned(),
            reason,
        };
        let source = inner.replace("\\/", "/");
        let body = from_re2(&source);
        let text = if flags.is_empty() {
            body
        } else {
            format!("(?{}){body}", unique(flags))
        };
        let regex = Regex::new(&text).map_err(|err| bad(reason(&err)))?;
        Ok(Self { source, regex })
    }

    /// A variable's value in the form `/…/flags`; `None` where it has not that form or does not compile.
    #[must_use]
    pub fn from_slashes(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('/')?;
        let end = inner.rfind('/')?;
        let flags = &inner[end + 1..];
        if !flags.chars().all(|c| "ismU".contains(c)) {
            return None;
        }
        Self::new(&inner[..end], flags).ok()
    }

    /// What stands between the slashes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is found anywhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn unique(flags: &str) -> String {
    "ismU".chars().filter(|flag| flags.contains(*flag)).collect()
}

/// The last line of the regex crate's message; the lines before it draw the pattern.
fn reason(err: &regex::Error) -> String {
    let text = err.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Rewrites RE2's syntax where the `regex` crate reads it differently: its `\d \w \s \b` are ASCII's, a `[`
/// in a class and a `{` that starts no repetition are literal, `\<` is no word boundary, `\Q…\E` quotes.
fn from_re2(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out),
            '[' => class(&mut chars, &mut out),
            '{' if !is_repetition(chars.clone()) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    match chars.next() {
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[0-9A-Za-z_]"),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str("[\\t\\n\\f\\r ]"),
        Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
        Some('b') => out.push_str("(?-u:\\b)"),
        // A negated ASCII boundary may fall inside a character, which the engine refuses for text.
        Some('B') => out.push_str("\\B"),
        Some('Q') => quoted(chars, out),
        Some('<') => out.push('<'),
        Some('>') => out.push('>'),
        Some(c) => {
            out.push('\\');
            out.push(c);
        }
        None => out.push('\\'),
    }
}

fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.peek() == Some(&'^') {
        chars.next();
        out.push('^');
    }
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return;
            }
            ']' => out.push_str("\\]"),
            '[' if chars.peek() == Some(&':') => posix_class(chars, out),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => match chars.next() {
                Some('d') => out.push_str("0-9"),
                Some('w') => out.push_str("0-9A-Za-z_"),
                Some('s') => out.push_str("\\t\\n\\f\\r "),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push('\\'),
            },
            '-' if first || chars.peek() == Some(&']') => out.push_str("\\-"),
            _ => out.push(c),
        }
        first = false;
    }
}

fn posix_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

/// Whether `2}`, `2,}` or `2,3}` follows.
fn is_repetition(chars: Peekable<Chars<'_>>) -> bool {
    let inner: String = chars
        .take_while(|c| c.is_ascii_digit() || *c == ',' || *c == '}')
        .collect();
    let Some((count, _)) = inner.split_once('}') else {
        return false;
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    match count.split_once(',') {
        Some((low, high)) => !low.is_empty() && digits(low) && digits(high),
        None => !count.is_empty() && digits(count),
    }
}
