//! GitLab's expression language: `rules:if`, `only:variables`, `include:rules:if`.
//!
//! Its truth values follow Ruby where GitLab's do, surprising ones included: inside `&&` and `||` only null
//! and false are falsy and an operand is returned, while the result as a whole (and the operand of `!`)
//! must be *present*: blank text is false there. See the cases in `tests/expr.rs`.

mod eval;
mod parse;
mod pattern;
mod token;

pub use eval::{Lookup, Value, evaluate, holds};
pub use parse::{BinaryOp, Expr, parse};
pub use pattern::Pattern;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unknown word at `{rest}`")]
    UnknownWord {
        /// The text from the unknown word on, cut short.
        rest: String,
        /// Where it starts, in bytes from the start of the expression.
        offset: usize,
    },
    #[error("too many words: an expression has at most 99")]
    TooManyTokens,
    #[error("`{word}` needs a value on its {side} side")]
    MissingOperand { word: String, side: &'static str },
    #[error("an operator is missing before `{word}`")]
    MissingOperator { word: String },
    #[error("`{0}` has no counterpart")]
    Unbalanced(char),
    #[error("it is empty")]
    Empty,
    #[error("`/{pattern}/` is no regular expression: {reason}")]
    BadPattern { pattern: String, reason: String },
}

impl Error {
    /// What the author can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownWord { rest, .. } => {
                if rest.starts_with("${") {
                    Some("write `$NAME`: braces are not allowed in expressions".to_owned())
                } else if rest.starts_with("$[[") {
                    Some("declare the input under `spec:inputs` in the header of this file".to_owned())
                } else if rest.starts_with('%') {
                    Some("write `$NAME`: `%NAME%` is not allowed in expressions".to_owned())
                } else if rest.starts_with('=') {
                    Some("compare with `==`".to_owned())
                } else if rest.starts_with('/') {
                    Some("a regular expression needs two characters or more between its slashes; write an inner slash as `\\/`".to_owned())
                } else if rest.starts_with(['"', '\'']) {
                    Some("the text has no closing quote".to_owned())
                } else if rest.starts_with(|c: char| c.is_alphanumeric()) {
                    Some("write text in quotes and variables as `$NAME`".to_owned())
                } else {
                    None
                }
            }
            Self::BadPattern { .. } => Some("the syntax is RE2's: no look-around, no back references".to_owned()),
            Self::TooManyTokens
            | Self::MissingOperand { .. }
            | Self::MissingOperator { .. }
            | Self::Unbalanced(_)
            | Self::Empty => None,
        }
    }
}
