//! Words → tree, by precedence.

use super::function;
use super::token::{Token, Word, Words};
use super::{MOST_CHARS, MOST_LEVELS, Names, Problem, SyntaxError};
use crate::expr::{BinaryOp, Expr, Literal};

/// Parentheses within parentheses; they are no levels of the tree, but the reader's stack is finite.
const MOST_PARENTHESES: usize = 100;

/// Reads an expression without its `${{ }}`.
///
/// # Errors
/// It is none, or asks for what its place does not have.
pub fn parse(text: &str, names: &Names<'_>) -> Result<Expr, SyntaxError> {
    let whole = |problem| SyntaxError {
        at: 0,
        length: text.len(),
        problem,
    };
    if text.len() > MOST_CHARS && text.chars().count() > MOST_CHARS {
        return Err(whole(Problem::TooLong));
    }
    let mut parser = Parser {
        words: Words::new(text),
        peeked: None,
        last: (0, 0),
        text,
        names,
        open: 0,
    };
    if parser.peek()?.is_none() {
        return Err(whole(Problem::Empty));
    }
    let tree = parser.binary(0)?;
    match parser.peek()? {
        Some(word) => Err(word.unexpected()),
        None => Ok(tree.expr),
    }
}

/// A tree and how many levels it has.
struct Tree {
    expr: Expr,
    levels: usize,
}

struct Parser<'a, 'n> {
    words: Words<'a>,
    peeked: Option<Option<Word<'a>>>,
    /// Place of the word taken last.
    last: (usize, usize),
    text: &'a str,
    names: &'n Names<'n>,
    open: usize,
}

/// From weak to strong.
const LEVELS: [&[BinaryOp]; 4] = [
    &[BinaryOp::Or],
    &[BinaryOp::And],
    &[BinaryOp::LooseEq, BinaryOp::LooseNe],
    &[
        BinaryOp::LooseLt,
        BinaryOp::LooseLe,
        BinaryOp::LooseGt,
        BinaryOp::LooseGe,
    ],
];

impl<'a> Parser<'a, '_> {
    fn peek(&mut self) -> Result<Option<&Word<'a>>, SyntaxError> {
        if self.peeked.is_none() {
            self.peeked = Some(self.words.next()?);
        }
        Ok(self.peeked.as_ref().and_then(Option::as_ref))
    }

    /// Whether the next word is there already and is another one.
    fn is_other(&self, token: &Token<'_>) -> bool {
        matches!(&self.peeked, Some(next) if next.as_ref().is_none_or(|word| word.token != *token))
    }

    fn take(&mut self) -> Result<Word<'a>, SyntaxError> {
        self.peek()?;
        let Some(word) = self.peeked.take().flatten() else {
            let (at, length) = self.last;
            return Err(SyntaxError {
                at,
                length,
                problem: Problem::End(self.text[at..at + length].to_owned()),
            });
        };
        self.last = (word.at, word.raw.len());
        Ok(word)
    }

    fn eat(&mut self, token: &Token<'_>) -> Result<bool, SyntaxError> {
        if self.is_other(token) {
            return Ok(false);
        }
        let found = self.peek()?.is_some_and(|word| word.token == *token);
        if found {
            self.take()?;
        }
        Ok(found)
    }

    fn expect(&mut self, token: &Token<'_>) -> Result<(), SyntaxError> {
        let word = self.take()?;
        if word.token == *token {
            Ok(())
        } else {
            Err(word.unexpected())
        }
    }

    /// A tree above others, if that is not too deep.
    fn above(&self, expr: Expr, levels: usize) -> Result<Tree, SyntaxError> {
        if levels >= MOST_LEVELS {
            let (at, length) = self.last;
            return Err(SyntaxError {
                at,
                length,
                problem: Problem::TooDeep,
            });
        }
        Ok(Tree {
            expr,
            levels: levels + 1,
        })
    }

    fn binary(&mut self, level: usize) -> Result<Tree, SyntaxError> {
        let first = self.unary()?;
        self.after(level, first)
    }

    /// What follows a value, as far as it binds as strongly as this level.
    fn after(&mut self, level: usize, first: Tree) -> Result<Tree, SyntaxError> {
        let Some(ops) = LEVELS.get(level) else {
            return Ok(first);
        };
        // Most values have no operator behind them.
        if !matches!(self.peek()?, Some(word) if matches!(word.token, Token::Binary(_))) {
            return Ok(first);
        }
        let first = self.after(level + 1, first)?;
        if level < 2 {
            return self.chain(level, ops[0], first);
        }
        let mut left = first;
        while let Some(op) = self.operator(ops)? {
            let right = self.binary(level + 1)?;
            let levels = left.levels.max(right.levels);
            left = self.above(binary(op, left.expr, right.expr), levels)?;
        }
        Ok(left)
    }

    fn operator(&mut self, ops: &[BinaryOp]) -> Result<Option<BinaryOp>, SyntaxError> {
        let found = match self.peek()?.map(|word| &word.token) {
            Some(Token::Binary(op)) if ops.contains(op) => Some(*op),
            _ => None,
        };
        if found.is_some() {
            self.take()?;
        }
        Ok(found)
    }

    /// `a && b && c`: one level, however many there are.
    fn chain(&mut self, level: usize, op: BinaryOp, first: Tree) -> Result<Tree, SyntaxError> {
        if self.operator(&[op])?.is_none() {
            return Ok(first);
        }
        let mut levels = first.levels;
        let mut parts = vec![first.expr];
        loop {
            let next = self.binary(level + 1)?;
            levels = levels.max(next.levels);
            parts.push(next.expr);
            if self.operator(&[op])?.is_none() {
                break;
            }
        }
        self.above(balanced(op, parts), levels)
    }

    fn unary(&mut self) -> Result<Tree, SyntaxError> {
        let mut nots = 0_usize;
        while self.eat(&Token::Not)? {
            nots += 1;
            if nots > MOST_LEVELS {
                return Err(self.too_deep());
            }
        }
        let mut of = self.value()?;
        for _ in 0..nots {
            of = self.above(Expr::Not(Box::new(of.expr)), of.levels)?;
        }
        Ok(of)
    }

    fn too_deep(&self) -> SyntaxError {
        let (at, length) = self.last;
        SyntaxError {
            at,
            length,
            problem: Problem::TooDeep,
        }
    }

    /// A primary, and what goes into it: `.name`, `[index]`, `.*`.
    fn value(&mut self) -> Result<Tree, SyntaxError> {
        let mut of = self.primary()?;
        loop {
            if self.eat(&Token::Dot)? {
                let word = self.take()?;
                of = match word.token {
                    Token::Star => self.above(Expr::Filter(Box::new(of.expr)), of.levels)?,
                    Token::Name(name) => self.above(index(of.expr, text(name)), of.levels)?,
                    _ => return Err(word.unexpected()),
                };
            } else if self.eat(&Token::OpenIndex)? {
                if self.eat(&Token::Star)? {
                    self.expect(&Token::CloseIndex)?;
                    of = self.above(Expr::Filter(Box::new(of.expr)), of.levels)?;
                } else {
                    let inner = self.inside()?;
                    self.expect(&Token::CloseIndex)?;
                    let levels = of.levels.max(inner.levels);
                    of = self.above(index(of.expr, inner.expr), levels)?;
                }
            } else {
                return Ok(of);
            }
        }
    }

    /// What stands in brackets or parentheses.
    fn inside(&mut self) -> Result<Tree, SyntaxError> {
        self.open += 1;
        if self.open > MOST_PARENTHESES {
            return Err(self.too_deep());
        }
        let inner = self.binary(0)?;
        self.open -= 1;
        Ok(inner)
    }

    fn primary(&mut self) -> Result<Tree, SyntaxError> {
        let word = self.take()?;
        let literal = |literal| {
            Ok(Tree {
                expr: Expr::Literal(literal),
                levels: 1,
            })
        };
        match &word.token {
            Token::Number(value) => literal(Literal::Number(*value)),
            Token::Text(text) => literal(Literal::Text(text.clone())),
            Token::Open => {
                let inner = self.inside()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Name("null") => literal(Literal::Null),
            Token::Name("true") => literal(Literal::Bool(true)),
            Token::Name("false") => literal(Literal::Bool(false)),
            Token::Name("NaN") => literal(Literal::Number(f64::NAN)),
            Token::Name("Infinity") => literal(Literal::Number(f64::INFINITY)),
            Token::Name(name) => {
                if self.eat(&Token::Open)? {
                    return self.call(&word, name);
                }
                if !self.names.has_context(name) {
                    return Err(word.blame(Problem::Context {
                        name: (*name).to_owned(),
                        known: self.names.contexts.join(", "),
                    }));
                }
                Ok(Tree {
                    expr: Expr::Context(name.to_ascii_lowercase()),
                    levels: 1,
                })
            }
            _ => Err(word.unexpected()),
        }
    }

    fn call(&mut self, word: &Word<'_>, name: &str) -> Result<Tree, SyntaxError> {
        function::check_name(name, self.names).map_err(|problem| word.blame(problem))?;
        let mut arguments = Vec::new();
        let mut levels = 0;
        if !self.eat(&Token::Close)? {
            loop {
                let argument = self.inside()?;
                levels = levels.max(argument.levels);
                arguments.push(argument.expr);
                let next = self.take()?;
                match next.token {
                    Token::Comma => {}
                    Token::Close => break,
                    _ => return Err(next.unexpected()),
                }
            }
        }
        function::check_arguments(name, arguments.len()).map_err(|problem| word.blame(problem))?;
        let call = Expr::Call {
            function: name.to_ascii_lowercase(),
            arguments,
        };
        self.above(call, levels)
    }
}

fn text(text: &str) -> Expr {
    Expr::Literal(Literal::Text(text.to_owned()))
}

fn index(of: Expr, index: Expr) -> Expr {
    Expr::Index {
        of: Box::new(of),
        index: Box::new(index),
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary {
        op,
        left: Box::new(left),
        right: Box::new(right),
    }
}

/// `&&` and `||` are associative, so that a long chain need not be a deep tree.
fn balanced(op: BinaryOp, mut parts: Vec<Expr>) -> Expr {
    while parts.len() > 1 {
        let mut above = Vec::with_capacity(parts.len().div_ceil(2));
        let mut below = parts.into_iter();
        while let Some(left) = below.next() {
            above.push(match below.next() {
                Some(right) => binary(op, left, right),
                None => left,
            });
        }
        parts = above;
    }
    parts.pop().unwrap_or(Expr::Literal(Literal::Null))
}
