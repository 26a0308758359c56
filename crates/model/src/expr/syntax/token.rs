//! Text → words.

use super::super::number;
use super::{Problem, SyntaxError};
use crate::expr::BinaryOp;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Number(f64),
    /// With the quotes taken away.
    Text(String),
    /// A keyword, or the name of a context, property or function.
    Name(&'a str),
    Binary(BinaryOp),
    Not,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Comma,
    Dot,
    Star,
}

/// A word with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word<'a> {
    pub(super) token: Token<'a>,
    pub(super) at: usize,
    pub(super) raw: &'a str,
}

impl Word<'_> {
    pub(super) fn unexpected(&self) -> SyntaxError {
        self.blame(Problem::Unexpected(self.raw.to_owned()))
    }

    pub(super) fn blame(&self, problem: Problem) -> SyntaxError {
        SyntaxError {
            at: self.at,
            length: self.raw.len(),
            problem,
        }
    }
}

/// Gives the words one by one: what is wrong later must not hide what is wrong before.
pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
    /// What came last is a value, so that `.` goes into it and `-` has no meaning.
    after_value: bool,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            after_value: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Word<'a>>, SyntaxError> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let (token, length) = match first {
            '\'' => self.quoted(rest)?,
            '0'..='9' => self.number(rest)?,
            '.' | '-' | '+' if !self.after_value => self.number(rest)?,
            '.' => (Token::Dot, 1),
            _ => match symbol(rest) {
                Some(found) => found,
                None => self.name(rest)?,
            },
        };
        let word = Word {
            at: self.at,
            raw: &rest[..length],
            token,
        };
        self.after_value = matches!(
            word.token,
            Token::Number(_) | Token::Text(_) | Token::Name(_) | Token::Close | Token::CloseIndex | Token::Star
        );
        self.at += length;
        Ok(Some(word))
    }

    fn symbol_error(&self, length: usize) -> SyntaxError {
        SyntaxError {
            at: self.at,
            length,
            problem: Problem::Symbol(self.text[self.at..self.at + length].to_owned()),
        }
    }

    fn quoted(&self, rest: &str) -> Result<(Token<'a>, usize), SyntaxError> {
        let mut from = 1;
        while let Some(quote) = rest[from..].find('\'').map(|found| from + found) {
            if rest[quote + 1..].starts_with('\'') {
                from = quote + 2;
            } else {
                return Ok((Token::Text(rest[1..quote].replace("''", "'")), quote + 1));
            }
        }
        Err(self.symbol_error(rest.len()))
    }

    fn number(&self, rest: &str) -> Result<(Token<'a>, usize), SyntaxError> {
        let length = word_length(rest, |c| c != '.' && is_boundary(c));
        match number::parse(&rest[..length]) {
            value if value.is_nan() => Err(self.symbol_error(length)),
            value => Ok((Token::Number(value), length)),
        }
    }

    fn name(&self, rest: &'a str) -> Result<(Token<'a>, usize), SyntaxError> {
        let of_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let length = match rest.as_bytes().iter().position(|b| !of_name(b)) {
            // Of what may stand in a name no character is a boundary.
            Some(0) | None => word_length(rest, is_boundary),
            Some(at) => at + word_length(&rest[at - 1..], is_boundary) - 1,
        };
        let word = &rest[..length];
        let good = !word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if good {
            Ok((Token::Name(word), length))
        } else {
            Err(self.symbol_error(length))
        }
    }
}

/// Bytes up to the next boundary, the first character in any case.
fn word_length(rest: &str, boundary: impl Fn(char) -> bool) -> usize {
    rest.char_indices()
        .skip(1)
        .find(|(_, c)| boundary(*c))
        .map_or(rest.len(), |(at, _)| at)
}

fn is_boundary(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | '.' | '!' | '<' | '>' | '=' | '&' | '|')
}

fn symbol(rest: &str) -> Option<(Token<'static>, usize)> {
    let two = [
        ("==", BinaryOp::LooseEq),
        ("!=", BinaryOp::LooseNe),
        ("<=", BinaryOp::LooseLe),
        (">=", BinaryOp::LooseGe),
        ("&&", BinaryOp::And),
        ("||", BinaryOp::Or),
    ];
    let begins = rest.starts_with(['=', '!', '<', '>', '&', '|']);
    if begins && let Some((_, op)) = two.iter().find(|(text, _)| rest.starts_with(text)) {
        return Some((Token::Binary(*op), 2));
    }
    let token = match rest.as_bytes().first()? {
        b'<' => Token::Binary(BinaryOp::LooseLt),
        b'>' => Token::Binary(BinaryOp::LooseGt),
        b'!' => Token::Not,
        b'(' => Token::Open,
        b')' => Token::Close,
        b'[' => Token::OpenIndex,
        b']' => Token::CloseIndex,
        b',' => Token::Comma,
        b'*' => Token::Star,
        _ => return None,
    };
    Some((token, 1))
}
