//! Evaluation.

use std::cmp::Ordering;

use super::ast::{BinaryOp, Expr, Literal};
use super::value::{Array, Value};
use super::{compare, function};

/// What an expression can see of the world.
pub trait Context {
    /// The value of a context root (`github`, `needs`, …), by its name in small letters; `None`: there is
    /// none of that name here.
    fn root(&self, name: &str) -> Option<Value>;

    /// A function that asks about the world: `success`, `failure`, `always`, `cancelled`, `hashfiles` (the
    /// name in small letters); `None`: there is none of that name here.
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>>;
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not available here")]
    UnknownContext(String),
    #[error("there is no function `{0}` here")]
    UnknownFunction(String),
    #[error("`{function}` does not take {given} arguments")]
    Arguments { function: String, given: usize },
    #[error("`{function}`: {problem}")]
    Function { function: String, problem: String },
    #[error("`{0}` is no regular expression that can be used")]
    Pattern(String),
    #[error("the expression is nested too deeply")]
    TooDeep,
    #[error("the result of the expression is too large")]
    TooLarge,
}

/// Depth beyond which an expression is refused: what a person writes stays far below.
const MOST_DEPTH: usize = 250;
/// Bytes of text that one expression may make.
pub(super) const MOST_TEXT: usize = 10 << 20;
/// Bytes of memory that a regular expression may take.
const MOST_PATTERN: usize = 1 << 20;

/// The value of an expression.
///
/// # Errors
/// It asks for what there is not, or a function cannot work with what it was given.
pub fn evaluate(expr: &Expr, context: &dyn Context) -> Result<Value, Error> {
    Evaluation {
        context,
        made: std::cell::Cell::new(0),
    }
    .value(expr, 0)
}

/// Whether an expression's value is truthy.
///
/// # Errors
/// As [`evaluate`].
pub fn holds(expr: &Expr, context: &dyn Context) -> Result<bool, Error> {
    evaluate(expr, context).map(|value| value.is_truthy())
}

pub(super) struct Evaluation<'a> {
    pub(super) context: &'a dyn Context,
    /// Bytes of text made so far.
    made: std::cell::Cell<usize>,
}

impl Evaluation<'_> {
    pub(super) fn value(&self, expr: &Expr, depth: usize) -> Result<Value, Error> {
        if depth > MOST_DEPTH {
            return Err(Error::TooDeep);
        }
        let next = depth + 1;
        Ok(match expr {
            Expr::Literal(literal) => match literal {
                Literal::Null => Value::Null,
                Literal::Bool(value) => Value::Bool(*value),
                Literal::Number(value) => Value::Number(*value),
                Literal::Text(text) => Value::text(text.as_str()),
            },
            Expr::Context(name) => self
                .context
                .root(&name.to_ascii_lowercase())
                .ok_or_else(|| Error::UnknownContext(name.clone()))?,
            Expr::Index { of, index } => {
                let of = self.value(of, next)?;
                let index = self.value(index, next)?;
                item(&of, &index)
            }
            Expr::Filter(of) => all_of(&self.value(of, next)?),
            Expr::Call { function, arguments } => function::call(self, function, arguments, next)?,
            Expr::Not(of) => Value::Bool(!self.value(of, next)?.is_truthy()),
            Expr::Binary { op, left, right } => self.binary(*op, left, right, next)?,
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    self.value(part, next)?.push_to(&mut text);
                    within_limit(text.len())?;
                }
                self.made(text)?
            }
        })
    }

    /// Counts a text that was made.
    pub(super) fn made(&self, text: String) -> Result<Value, Error> {
        let all = self.made.get().saturating_add(text.len());
        self.made.set(all);
        within_limit(all)?;
        Ok(Value::text(text))
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr, depth: usize) -> Result<Value, Error> {
        let left = self.value(left, depth)?;
        match op {
            BinaryOp::And if !left.is_truthy() => return Ok(left),
            BinaryOp::Or if left.is_truthy() => return Ok(left),
            _ => {}
        }
        binary(op, left, self.value(right, depth)?)
    }
}

pub(super) fn within_limit(bytes: usize) -> Result<(), Error> {
    if bytes > MOST_TEXT {
        Err(Error::TooLarge)
    } else {
        Ok(())
    }
}

/// The value of `left op right`.
///
/// # Errors
/// The right side is to be a regular expression and is none.
pub fn binary(op: BinaryOp, left: Value, right: Value) -> Result<Value, Error> {
    let loose_equal = || compare::loose_equal(&left, &right);
    let order = || compare::strict_order(&left, &right);
    Ok(Value::Bool(match op {
        BinaryOp::And => return Ok(if left.is_truthy() { right } else { left }),
        BinaryOp::Or => return Ok(if left.is_truthy() { left } else { right }),
        BinaryOp::LooseEq => loose_equal(),
        BinaryOp::LooseNe => !loose_equal(),
        BinaryOp::LooseLt => compare::loose_less(&left, &right),
        BinaryOp::LooseLe => loose_equal() || compare::loose_less(&left, &right),
        BinaryOp::LooseGt => compare::loose_less(&right, &left),
        BinaryOp::LooseGe => loose_equal() || compare::loose_less(&right, &left),
        BinaryOp::StrictEq => compare::strict_equal(&left, &right),
        BinaryOp::StrictNe => !compare::strict_equal(&left, &right),
        BinaryOp::StrictLt => order() == Some(Ordering::Less),
        BinaryOp::StrictLe => order().is_some_and(Ordering::is_le),
        BinaryOp::StrictGt => order() == Some(Ordering::Greater),
        BinaryOp::StrictGe => order().is_some_and(Ordering::is_ge),
        BinaryOp::Matches => matches(&left, &right)?,
        BinaryOp::NotMatches => !matches(&left, &right)?,
        BinaryOp::StartsWith => left.is_primitive() && left.to_text().starts_with(right.to_text().as_ref()),
    }))
}

/// The values as one text.
///
/// # Errors
/// It is too large.
pub fn concat(parts: &[Value]) -> Result<Value, Error> {
    let mut text = String::new();
    for part in parts {
        part.push_to(&mut text);
        within_limit(text.len())?;
    }
    Ok(Value::text(text))
}

/// `of.key`: null where there is no such thing.
#[must_use]
pub fn property(of: &Value, key: &str) -> Value {
    match of {
        Value::Object(object) => object.get(key).cloned().unwrap_or_default(),
        other => item(other, &Value::text(key)),
    }
}

/// `of[index]`: null where there is no such thing.
#[must_use]
pub fn item(of: &Value, index: &Value) -> Value {
    match of {
        Value::Array(array) if array.is_filtered => {
            Value::filtered(array.items.iter().filter_map(|item| child(item, index)).collect())
        }
        other => child(other, index).unwrap_or_default(),
    }
}

fn child(of: &Value, index: &Value) -> Option<Value> {
    match of {
        Value::Array(array) => array.items.get(place(index)?).cloned(),
        Value::Object(object) if index.is_primitive() => object.get(&index.to_text()).cloned(),
        _ => None,
    }
}

/// An index of an array: cast to a number and cut; below zero, NaN or beyond 31 bits there is none.
fn place(index: &Value) -> Option<usize> {
    let number = index.to_number();
    if number.is_nan() || number < 0.0 || number.floor() > f64::from(i32::MAX) {
        return None;
    }
    // In range, checked above.
    Some(number.floor() as usize)
}

/// `of.*`: all items or values; of what a filter gave, those of each item.
fn all_of(of: &Value) -> Value {
    let children = |value: &Value| -> Vec<Value> {
        match value {
            Value::Array(array) => array.items.clone(),
            Value::Object(object) => object.iter().map(|(_, value)| value.clone()).collect(),
            _ => Vec::new(),
        }
    };
    Value::filtered(match of {
        Value::Array(array) => match array.as_ref() {
            Array {
                items,
                is_filtered: true,
            } => items.iter().flat_map(children).collect(),
            Array { items, .. } => items.clone(),
        },
        other => children(other),
    })
}

fn matches(text: &Value, pattern: &Value) -> Result<bool, Error> {
    if matches!(text, Value::Null) {
        return Ok(false);
    }
    let pattern = pattern.to_text();
    let regex = regex::RegexBuilder::new(&pattern)
        .size_limit(MOST_PATTERN)
        .dfa_size_limit(MOST_PATTERN)
        .build()
        .map_err(|_| Error::Pattern(pattern.to_string()))?;
    Ok(regex.is_match(&text.to_text()))
}
