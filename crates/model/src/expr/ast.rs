//! The tree.

use serde::{Deserialize, Serialize};

/// An expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    Literal(Literal),
    /// A context root: `needs`, `github`, `env`, `vars`, `matrix`, …
    Context(String),
    /// `of.name` or `of[index]`.
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
    },
    /// `of.*`
    Filter(Box<Expr>),
    Call {
        function: String,
        arguments: Vec<Expr>,
    },
    Not(Box<Expr>),
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Text with expressions in it; the parts are cast to text and joined.
    Concat(Vec<Expr>),
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

/// Two-sided operators. `Loose*` have GitHub's casts and ignore case; `Strict*` compare kinds first (CircleCI, GitLab).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOp {
    /// Returns the left operand if it is falsy, else the right one; short-circuits.
    And,
    /// Returns the left operand if it is truthy, else the right one; short-circuits.
    Or,
    LooseEq,
    LooseNe,
    LooseLt,
    LooseLe,
    LooseGt,
    LooseGe,
    StrictEq,
    StrictNe,
    StrictLt,
    StrictLe,
    StrictGt,
    StrictGe,
    /// Right side is a regular expression that is searched in the left.
    Matches,
    NotMatches,
    StartsWith,
}
