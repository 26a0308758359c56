//! Words of an expression.

use super::{Error, Pattern};

/// GitLab gives up after the hundredth look for a word, the one that finds the end.
const MAX_TOKENS: usize = 99;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Variable(&'a str),
    Text(&'a str),
    Pattern(Pattern),
    Null,
    True,
    False,
    Equals,
    NotEquals,
    Matches,
    NotMatches,
    And,
    Or,
    Not,
}

/// Words without content, longer ones before those they start with.
const FIXED: &[(&str, Token<'static>)] = &[
    ("null", Token::Null),
    ("true", Token::True),
    ("false", Token::False),
    ("==", Token::Equals),
    ("=~", Token::Matches),
    ("!=", Token::NotEquals),
    ("!~", Token::NotMatches),
    ("!", Token::Not),
    ("&&", Token::And),
    ("||", Token::Or),
    ("(", Token::Open),
    (")", Token::Close),
];

/// Cuts `text` into words, each with the text it was made of.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, &str)>, Error> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if all.len() == MAX_TOKENS {
            return Err(Error::TooManyTokens);
        }
        let offset = text.len() - rest.len();
        let (token, length) = token(rest)?.ok_or_else(|| Error::UnknownWord {
            rest: rest.chars().take(30).collect(),
            offset,
        })?;
        let (word, after) = rest.split_at(length);
        all.push((token, word));
        rest = after.trim_start();
    }
    Ok(all)
}

fn token(rest: &str) -> Result<Option<(Token<'_>, usize)>, Error> {
    if let Some((word, token)) = FIXED.iter().find(|(word, _)| rest.starts_with(word)) {
        return Ok(Some((token.clone(), word.len())));
    }
    match rest.as_bytes().first() {
        Some(b'$') => {
            let name = name(&rest[1..]);
            Ok((!name.is_empty()).then(|| (Token::Variable(name), name.len() + 1)))
        }
        Some(quote @ (b'"' | b'\'')) => Ok(quoted(rest, char::from(*quote))),
        Some(b'/') => pattern(rest),
        _ => Ok(None),
    }
}

/// `\w+` of Ruby: letters, digits and `_` of ASCII.
fn name(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    &text[..end]
}

/// No escapes; ends at the next quote of its kind on the same line.
fn quoted(rest: &str, quote: char) -> Option<(Token<'_>, usize)> {
    let inner = &rest[1..];
    let end = inner.find([quote, '\n'])?;
    inner[end..]
        .starts_with(quote)
        .then(|| (Token::Text(&inner[..end]), end + 2))
}

/// `/…/flags` with two characters or more inside; `\/` is a slash. A doubled slash at the end belongs to the
/// pattern, as in GitLab's own greedy match.
fn pattern(rest: &str) -> Result<Option<(Token<'_>, usize)>, Error> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if bytes.get(at + 1) == Some(&b'/') => at += 2,
            b'/' => break,
            _ => at += 1,
        }
    }
    if bytes.get(at).is_none() {
        return Ok(None);
    }
    if at > 1 && bytes.get(at + 1) == Some(&b'/') {
        at += 1;
    }
    let inner = &rest[1..at];
    if inner.chars().nth(1).is_none() {
        return Ok(None);
    }
    let after = &rest[at + 1..];
    let flags = after.find(|c: char| !"ismU".contains(c)).unwrap_or(after.len());
    let pattern = Pattern::new(inner, &after[..flags])?;
    Ok(Some((Token::Pattern(pattern), at + 1 + flags)))
}
