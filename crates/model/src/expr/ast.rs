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

impl Expr {
    /// The expressions that it is directly made of, in the order of the text.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let (two, more): ([Option<&Self>; 2], &[Self]) = match self {
            Self::Literal(_) | Self::Context(_) => ([None, None], &[]),
            Self::Filter(of) | Self::Not(of) => ([Some(of), None], &[]),
            Self::Index { of, index } => ([Some(of), Some(index)], &[]),
            Self::Binary { left, right, .. } => ([Some(left), Some(right)], &[]),
            Self::Call { arguments, .. } => ([None, None], arguments),
            Self::Concat(parts) => ([None, None], parts),
        };
        two.into_iter().flatten().chain(more)
    }
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    Null,
    Bool(bool),
    #[serde(with = "number")]
    Number(f64),
    Text(String),
}

/// JSON has no NaN and no infinity: they are written as `{"number": "NaN"}`.
mod number {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(serde::Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Plain(f64),
        Odd { number: String },
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            return out.serialize_f64(*value);
        }
        Form::Odd {
            number: value.to_string(),
        }
        .serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        match Form::deserialize(input)? {
            Form::Plain(value) => Ok(value),
            Form::Odd { number } => number.parse().map_err(serde::de::Error::custom),
        }
    }
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
