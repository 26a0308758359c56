//! What an expression is worth.

use std::borrow::Cow;

use super::{BinaryOp, Expr, Pattern};

/// Where variables are looked up: raw, unexpanded values; `None` is null.
pub trait Lookup {
    fn get(&self, name: &str) -> Option<&str>;
}

impl<F> Lookup for F
where
    F: for<'n> Fn(&'n str) -> Option<&'static str>,
{
    fn get(&self, name: &str) -> Option<&str> {
        self(name)
    }
}

impl<S: std::hash::BuildHasher> Lookup for std::collections::HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        std::collections::HashMap::get(self, name).map(String::as_str)
    }
}

/// A value of the language.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Text(Cow<'a, str>),
    Pattern(&'a Pattern),
}

impl Value<'_> {
    /// Ruby's `present?`: null, false and blank text are not.
    #[must_use]
    pub fn is_present(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Text(text) => !text.trim().is_empty(),
            Self::Pattern(_) => true,
        }
    }

    /// Ruby's own truth, used by `&&` and `||`: empty text is true.
    fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Text(_) | Self::Pattern(_) => true,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Pattern(pattern) => Cow::Borrowed(pattern.source()),
        }
    }
}

/// A runtime error (a boolean on the right of `=~`); the whole expression is false then.
struct Failed;

/// Whether the expression as a whole holds. A runtime error is false.
#[must_use]
pub fn holds(expr: &Expr, variables: &dyn Lookup) -> bool {
    value(expr, variables).is_ok_and(|value| value.is_present())
}

/// The value of the expression; `None` after a runtime error.
#[must_use]
pub fn evaluate<'a>(expr: &'a Expr, variables: &'a dyn Lookup) -> Option<Value<'a>> {
    value(expr, variables).ok()
}

fn value<'a>(expr: &'a Expr, variables: &'a dyn Lookup) -> Result<Value<'a>, Failed> {
    Ok(match expr {
        Expr::Variable(name) => variables.get(name).map_or(Value::Null, |v| Value::Text(v.into())),
        Expr::Text(text) => Value::Text(text.into()),
        Expr::Bool(flag) => Value::Bool(*flag),
        Expr::Null => Value::Null,
        Expr::Pattern(pattern) => Value::Pattern(pattern),
        Expr::Not(inner) => Value::Bool(!value(inner, variables)?.is_present()),
        Expr::Binary { op, left, right } => {
            let left = value(left, variables)?;
            match op {
                BinaryOp::And if !left.is_truthy() => left,
                BinaryOp::Or if left.is_truthy() => left,
                BinaryOp::And | BinaryOp::Or => value(right, variables)?,
                BinaryOp::Equals => Value::Bool(equal(&left, &value(right, variables)?)),
                BinaryOp::NotEquals => Value::Bool(!equal(&left, &value(right, variables)?)),
                BinaryOp::Matches => Value::Bool(matches(&left, &value(right, variables)?)?.unwrap_or(false)),
                BinaryOp::NotMatches => Value::Bool(!matches(&left, &value(right, variables)?)?.unwrap_or(false)),
            }
        }
    })
}

/// Exact; null equals only null; a boolean and a text are compared as text.
fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Pattern(left), Value::Pattern(right)) => left == right,
        (Value::Pattern(_), _) | (_, Value::Pattern(_)) => false,
        _ => left.text() == right.text(),
    }
}

/// `None` where the right side is null (or false, which Ruby treats alike).
///
/// A text on the right in the form `/…/` is compiled. Any other text is searched *for the left side*,
/// which is what GitLab does with a variable that holds no valid pattern.
fn matches(left: &Value<'_>, right: &Value<'_>) -> Result<Option<bool>, Failed> {
    let text = left.text();
    match right {
        Value::Null | Value::Bool(false) => Ok(None),
        Value::Bool(true) => Err(Failed),
        Value::Pattern(pattern) => Ok(Some(pattern.is_match(&text))),
        Value::Text(source) => Ok(Some(match Pattern::from_slashes(source) {
            Some(pattern) => pattern.is_match(&text),
            None => source.contains(&*text),
        })),
    }
}
