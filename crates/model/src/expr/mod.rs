//! Late conditions: an expression that is evaluated when its inputs exist.
//!
//! One tree for all languages. Front ends turn their own syntax into it and choose the operator that has
//! their language's meaning, so evaluation needs no knowledge of the language. Casts, loose comparisons and
//! the functions are GitHub's.

mod ast;
mod compare;
mod evaluate;
mod function;
mod json;
mod number;
pub mod syntax;
mod value;

pub use ast::{BinaryOp, Expr, Literal};
pub use evaluate::{Context, Error, binary, concat, evaluate, holds, item, property};
pub use value::{Array, Keys, Object, Value};

#[cfg(test)]
mod tests;
