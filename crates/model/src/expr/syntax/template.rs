//! Text with `${{ … }}` in it.

use super::{Names, Problem, SyntaxError, parse};
use crate::expr::{Expr, Literal};

/// Whether a text has an expression in it.
#[must_use]
pub fn has_expression(text: &str) -> bool {
    opening(text).is_some()
}

/// Where the first expression opens.
fn opening(text: &str) -> Option<usize> {
    let mut dollars = text.match_indices('$').map(|(at, _)| at);
    dollars.find(|at| text[*at..].starts_with("${{"))
}

/// Reads a text with expressions: one that is the whole text keeps its type, others are joined with what stands
/// between them. `None`: there is no expression in it.
///
/// # Errors
/// One of them is none, or is not closed. Positions count from the start of `text`.
pub fn template(text: &str, names: &Names<'_>) -> Result<Option<Expr>, SyntaxError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(start) = opening(&text[at..]).map(|found| at + found) {
        if start > at {
            parts.push(literal(&text[at..start]));
        }
        let inner = start + 3;
        let Some(length) = end(&text[inner..]) else {
            return Err(SyntaxError {
                at: start,
                length: text.len() - start,
                problem: Problem::NotClosed,
            });
        };
        let expr = parse(&text[inner..inner + length], names).map_err(|error| SyntaxError {
            at: inner + error.at,
            ..error
        })?;
        parts.push(expr);
        at = inner + length + 2;
    }
    if parts.is_empty() && at == 0 {
        return Ok(None);
    }
    if at < text.len() {
        parts.push(literal(&text[at..]));
    }
    Ok(Some(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expr::Concat(parts)
    }))
}

fn literal(text: &str) -> Expr {
    Expr::Literal(Literal::Text(text.to_owned()))
}

/// Bytes before the `}}` that stands in no quotes.
fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    (0..bytes.len()).find(|at| {
        quoted ^= bytes[*at] == b'\'';
        !quoted && bytes[*at] == b'}' && bytes.get(at + 1) == Some(&b'}')
    })
}
