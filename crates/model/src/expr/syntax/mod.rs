//! GitHub's notation: `needs.a.result == 'success' && !contains(x.*.y, 1)`, and text with `${{ … }}` in it.
//!
//! Names are checked while reading: an expression that asks for a context or function that its place does not
//! have is refused with the position of the name, before anything runs.

mod function;
mod parse;
mod template;
mod token;

pub use function::functions;
pub use parse::parse;
pub use template::{has_expression, template};

/// Characters that one expression may have.
pub const MOST_CHARS: usize = 21_000;
/// Levels of nesting that one expression may have; a chain of `&&` or of `||` is one level.
pub const MOST_LEVELS: usize = 50;

/// What may be named in an expression at some place. Names are compared without case.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    pub contexts: &'a [&'a str],
    /// Functions beyond those that are available everywhere: `hashFiles`, `success`, …
    pub functions: &'a [&'a str],
}

impl Names<'_> {
    fn has_context(&self, name: &str) -> bool {
        self.contexts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn has_function(&self, name: &str) -> bool {
        self.functions.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Why a text is no expression, and which part of it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SyntaxError {
    /// Bytes from the start of the text that was given.
    pub at: usize,
    /// Bytes that are meant.
    pub length: usize,
    pub problem: Problem,
}

/// The kinds of [`SyntaxError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No word of the language.
    #[error("`{0}` is no part of an expression")]
    Symbol(String),
    /// A word where none of its kind may stand.
    #[error("`{0}` cannot stand here")]
    Unexpected(String),
    #[error("the expression ends after `{0}`, where more must follow")]
    End(String),
    #[error("there is nothing between the braces")]
    Empty,
    #[error("`${{{{` is not closed by `}}}}`")]
    NotClosed,
    #[error("`{name}` is not available here; these are: {known}")]
    Context { name: String, known: String },
    #[error("there is no function `{0}`")]
    Function(String),
    #[error("the function `{0}` is not available here")]
    FunctionHere(String),
    #[error("`{name}` takes {wanted} arguments, not {given}")]
    Arguments {
        name: String,
        wanted: &'static str,
        given: usize,
    },
    #[error("the expression has more than {MOST_LEVELS} levels")]
    TooDeep,
    #[error("the expression has more than {MOST_CHARS} characters")]
    TooLong,
}

#[cfg(test)]
mod tests;
