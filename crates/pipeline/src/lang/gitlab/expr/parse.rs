//! From words to a tree.

use super::token::{Token, tokens};
use super::{Error, Pattern};

/// An expression, ready to be evaluated any number of times.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Variable(String),
    Text(String),
    Bool(bool),
    Null,
    Pattern(Pattern),
    Not(Box<Expr>),
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Equals,
    NotEquals,
    Matches,
    NotMatches,
    And,
    Or,
}

impl BinaryOp {
    /// How tightly it binds: comparisons before `&&` before `||`.
    fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equals | Self::NotEquals | Self::Matches | Self::NotMatches => 3,
        }
    }
}

/// Parses an expression of `rules:if`.
///
/// # Errors
/// Everything that makes GitLab say "invalid expression syntax", told apart.
pub fn parse(text: &str) -> Result<Expr, Error> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        open: 0,
    };
    if parser.tokens.is_empty() {
        return Err(Error::Empty);
    }
    let expr = parser.binary(0, "")?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some((Token::Close, _)) => Err(Error::Unbalanced(')')),
        Some((_, word)) => Err(Error::MissingOperator {
            word: (*word).to_owned(),
        }),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, &'a str)>,
    at: usize,
    open: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<(Token<'a>, &'a str)> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn operator(&self) -> Option<(BinaryOp, &'a str)> {
        let (token, word) = self.tokens.get(self.at)?;
        let op = match token {
            Token::Equals => BinaryOp::Equals,
            Token::NotEquals => BinaryOp::NotEquals,
            Token::Matches => BinaryOp::Matches,
            Token::NotMatches => BinaryOp::NotMatches,
            Token::And => BinaryOp::And,
            Token::Or => BinaryOp::Or,
            Token::Open
            | Token::Close
            | Token::Variable(_)
            | Token::Text(_)
            | Token::Pattern(_)
            | Token::Null
            | Token::True
            | Token::False
            | Token::Not => return None,
        };
        Some((op, word))
    }

    /// Operators stronger than `weakest`, left-associative; `before` is the word that asks for the value.
    fn binary(&mut self, weakest: u8, before: &'a str) -> Result<Expr, Error> {
        let mut left = self.unary(before)?;
        while let Some((op, word)) = self.operator() {
            if op.strength() <= weakest {
                break;
            }
            self.at += 1;
            let right = self.binary(op.strength(), word)?;
            left = Expr::Binary {
                op,
                left: Box::new(left),
                right: Box::new(right),
            };
        }
        Ok(left)
    }

    fn unary(&mut self, before: &'a str) -> Result<Expr, Error> {
        let missing = |word: &str, side| Error::MissingOperand {
            word: word.to_owned(),
            side,
        };
        let Some((token, word)) = self.next() else {
            return Err(if before == "(" {
                Error::Unbalanced('(')
            } else {
                missing(before, "right")
            });
        };
        match token {
            Token::Variable(name) => Ok(Expr::Variable(name.to_owned())),
            Token::Text(text) => Ok(Expr::Text(text.to_owned())),
            Token::Pattern(pattern) => Ok(Expr::Pattern(pattern)),
            Token::Null => Ok(Expr::Null),
            Token::True => Ok(Expr::Bool(true)),
            Token::False => Ok(Expr::Bool(false)),
            Token::Not => Ok(Expr::Not(Box::new(self.unary(word)?))),
            Token::Open => self.group(word),
            Token::Close if before == "(" => Err(missing("(", "right")),
            Token::Close if self.open == 0 => Err(Error::Unbalanced(')')),
            Token::Close => Err(missing(before, "right")),
            Token::Equals | Token::NotEquals | Token::Matches | Token::NotMatches | Token::And | Token::Or => {
                Err(missing(word, "left"))
            }
        }
    }

    fn group(&mut self, word: &'a str) -> Result<Expr, Error> {
        self.open += 1;
        let inner = self.binary(0, word)?;
        self.open -= 1;
        match self.next() {
            Some((Token::Close, _)) => Ok(inner),
            None => Err(Error::Unbalanced('(')),
            Some((_, word)) => Err(Error::MissingOperator { word: word.to_owned() }),
        }
    }
}
