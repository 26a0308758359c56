//! Late conditions: an expression that is evaluated when its inputs exist.
//!
//! One tree for all languages. Front ends turn their own syntax into it and choose the operator that has
//! their language's meaning, so evaluation needs no knowledge of the language.

mod ast;

pub use ast::{BinaryOp, Expr, Literal};
