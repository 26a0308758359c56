//! Loose (GitHub's) and strict comparisons.

use std::cmp::Ordering;
use std::sync::Arc;

use super::value::{Value, capital};

/// GitHub's `==`: values of one kind by value (texts ignore case, arrays and objects by identity), others as
/// numbers; NaN equals nothing.
pub(super) fn loose_equal(left: &Value, right: &Value) -> bool {
    match coerce(left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        // NaN is not equal to itself, which is just what is wanted.
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => order_ignoring_case(&a, &b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => Arc::ptr_eq(&a, &b),
        (Value::Object(a), Value::Object(b)) => Arc::ptr_eq(&a, &b),
        _ => false,
    }
}

/// GitHub's `<`.
pub(super) fn loose_less(left: &Value, right: &Value) -> bool {
    match coerce(left, right) {
        (Value::Bool(a), Value::Bool(b)) => !a & b,
        (Value::Number(a), Value::Number(b)) => a < b,
        (Value::Text(a), Value::Text(b)) => order_ignoring_case(&a, &b) == Ordering::Less,
        _ => false,
    }
}

/// Makes numbers of values of different kinds, as far as that is done.
fn coerce(left: &Value, right: &Value) -> (Value, Value) {
    let number = |value: &Value| Value::Number(value.to_number());
    match (left, right) {
        (Value::Null, Value::Null) | (Value::Bool(_), Value::Bool(_)) => (left.clone(), right.clone()),
        (Value::Number(_), Value::Text(_)) => (left.clone(), number(right)),
        (Value::Text(_), Value::Number(_)) => (number(left), right.clone()),
        (Value::Null | Value::Bool(_), _) => coerce(&number(left), right),
        (_, Value::Null | Value::Bool(_)) => coerce(left, &number(right)),
        _ => (left.clone(), right.clone()),
    }
}

fn capitals(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(|b| b.to_ascii_uppercase())
}

/// By UTF-16 units of the capitals.
fn order_ignoring_case(a: &str, b: &str) -> Ordering {
    let units = |text: &str| {
        text.chars()
            .map(capital)
            .flat_map(|c| {
                let mut buffer = [0; 2];
                let units: Vec<u16> = c.encode_utf16(&mut buffer).to_vec();
                units
            })
            .collect::<Vec<u16>>()
    };
    if a.is_ascii() && b.is_ascii() {
        return Iterator::cmp(capitals(a), capitals(b));
    }
    units(a).cmp(&units(b))
}

/// Same kind and same value, all the way down.
pub(super) fn strict_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => {
            a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| strict_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| strict_equal(a, b)))
        }
        _ => false,
    }
}

/// Order of two numbers or two texts; others have none.
pub(super) fn strict_order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
