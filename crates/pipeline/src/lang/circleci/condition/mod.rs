//! Conditions: logic statements, expressions, regular expressions.

mod expression;
mod logic;
mod pattern;

pub(super) use pattern::Matches;
