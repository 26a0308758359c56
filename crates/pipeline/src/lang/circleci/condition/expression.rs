//! Expressions: `pipeline.git.branch == "main" and not pipeline.parameters.skip`.

use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::SCHEMA;
use crate::yaml::{self, Node, Span};

use super::Matches;

/// Nesting of parentheses and `not`.
const DEEPEST: usize = 100;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    /// `==`, `and`, …
    Word(&'static str),
    Value(Operand),
    /// A dotted name.
    Name(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Regex(String),
}

impl Operand {
    fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::Text(text) | Self::Regex(text) => !text.is_empty(),
        }
    }
}

/// Why an expression cannot be evaluated; `None` where that was reported already.
type Fault = Option<String>;

/// Loosest first.
const LEVELS: [&[&str]; 5] = [
    &["or"],
    &["and"],
    &["==", "!="],
    &["starts-with", "matches"],
    &[">=", "<=", ">", "<"],
];
const WORDS: [&str; 12] = [
    "==",
    "!=",
    ">=",
    "<=",
    ">",
    "<",
    "and",
    "or",
    "not",
    "!",
    "starts-with",
    "matches",
];

impl Compiler<'_, '_> {
    /// Whether an expression holds. `None` where it cannot be told, which was reported.
    pub(in crate::lang::circleci) fn expression(&self, text: &str, span: Span) -> Option<bool> {
        let result = tokens(text).map_err(Some).and_then(|tokens| {
            let mut parser = Parser {
                compiler: self,
                span,
                tokens: &tokens,
                at: 0,
                depth: 0,
            };
            let value = parser.level(0)?;
            match parser.tokens.get(parser.at) {
                None => Ok(value),
                Some(_) => Err(Some("there is something after its end".to_owned())),
            }
        });
        match result {
            Ok(value) => Some(value.is_true()),
            Err(fault) => {
                if let Some(fault) = fault {
                    let message = format!("the expression `{}` cannot be evaluated: {fault}", text.trim());
                    self.error(&code::CIRCLECI_CONDITION, span, message);
                }
                None
            }
        }
    }
}

struct Parser<'p, 'c, 's, 'a> {
    compiler: &'c Compiler<'s, 'a>,
    span: Span,
    tokens: &'p [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_, '_, '_, '_> {
    fn level(&mut self, level: usize) -> Result<Operand, Fault> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.level(level + 1)?;
            left = apply(operator, left, right, &self.compiler.matches)?;
        }
        Ok(left)
    }

    fn operator(&mut self, among: &[&'static str]) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) if among.contains(word) => {
                self.at += 1;
                Some(word)
            }
            _ => None,
        }
    }

    fn unary(&mut self) -> Result<Operand, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Some(format!("it is nested deeper than {DEEPEST} levels")));
        }
        let value = if self.operator(&["not", "!"]).is_some() {
            Operand::Bool(!self.unary()?.is_true())
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<Operand, Fault> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Value(value)) => Ok(value),
            Some(Token::Open) => {
                let value = self.level(0)?;
                if self.tokens.get(self.at) != Some(&Token::Close) {
                    return Err(Some("a parenthesis is not closed".to_owned()));
                }
                self.at += 1;
                Ok(value)
            }
            Some(Token::Name(name)) if name.starts_with("pipeline.") => {
                let node = self.compiler.pipeline_value(&name, self.span).ok_or(None)?;
                Ok(operand(&node))
            }
            Some(Token::Name(name)) => Err(Some(format!("`{name}` is not known; texts need double quotes"))),
            Some(Token::Word(word)) => Err(Some(format!("a value is missing before `{word}`"))),
            Some(Token::Close) | None => Err(Some("a value is missing".to_owned())),
        }
    }
}

fn operand(node: &Node) -> Operand {
    match node.value(SCHEMA) {
        yaml::Value::Bool(flag) => Operand::Bool(flag),
        #[expect(clippy::cast_precision_loss, reason = "numbers of configurations are small")]
        yaml::Value::Int(number) => Operand::Number(number as f64),
        yaml::Value::Float(number) => Operand::Number(number),
        yaml::Value::Text(text) | yaml::Value::Symbol(text) | yaml::Value::Date(text) => Operand::Text(text.to_owned()),
        yaml::Value::Null | yaml::Value::Map(_) | yaml::Value::Seq(_) | yaml::Value::Reference(_) => Operand::Null,
    }
}

fn apply(operator: &'static str, left: Operand, right: Operand, matches: &Matches) -> Result<Operand, Fault> {
    let numbers = || match (&left, &right) {
        (Operand::Number(a), Operand::Number(b)) => Ok((*a, *b)),
        _ => Err(Some(format!("`{operator}` compares numbers"))),
    };
    let result = match operator {
        "or" => return Ok(if left.is_true() { left } else { right }),
        "and" => return Ok(if left.is_true() { right } else { left }),
        "==" => left == right,
        "!=" => left != right,
        ">" => numbers().map(|(a, b)| a > b)?,
        "<" => numbers().map(|(a, b)| a < b)?,
        ">=" => numbers().map(|(a, b)| a >= b)?,
        "<=" => numbers().map(|(a, b)| a <= b)?,
        "starts-with" => match (&left, &right) {
            (Operand::Text(text), Operand::Text(begin)) => text.starts_with(begin.as_str()),
            _ => return Err(Some("`starts-with` takes two strings".to_owned())),
        },
        _ => match (&left, &right) {
            (Operand::Text(text), Operand::Regex(pattern) | Operand::Text(pattern)) => {
                let reason = |reason: String| Some(format!("the regular expression `{pattern}`: {reason}"));
                matches.is_match(pattern, text).map_err(reason)?
            }
            _ => return Err(Some("`matches` takes a string and a /regular expression/".to_owned())),
        },
    };
    Ok(Operand::Bool(result))
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, length) = token(rest)?;
        tokens.extend(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The first token, and its bytes.
fn token(text: &str) -> Result<(Option<Token>, usize), String> {
    // A reference in angle brackets is the name inside.
    if text.starts_with("<<") || text.starts_with(">>") {
        return Ok((None, 2));
    }
    let first = text.chars().next().unwrap_or(' ');
    match first {
        '(' => return Ok((Some(Token::Open), 1)),
        ')' => return Ok((Some(Token::Close), 1)),
        '"' => {
            let (value, length) = delimited(text, '"').ok_or("a quotation mark is not closed")?;
            return Ok((Some(Token::Value(Operand::Text(value))), length));
        }
        '/' => {
            let (value, length) = delimited(text, '/').ok_or("a slash of a regular expression is not closed")?;
            return Ok((Some(Token::Value(Operand::Regex(value))), length));
        }
        _ => {}
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let length = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let word = &text[..length];
    match word {
        "" => {}
        "true" => return Ok((Some(Token::Value(Operand::Bool(true))), length)),
        "false" => return Ok((Some(Token::Value(Operand::Bool(false))), length)),
        "null" => return Ok((Some(Token::Value(Operand::Null)), length)),
        _ => {
            if let Some(operator) = WORDS.iter().find(|operator| **operator == word) {
                return Ok((Some(Token::Word(operator)), length));
            }
            if let Ok(value) = word.parse::<i64>() {
                #[expect(clippy::cast_precision_loss, reason = "numbers of configurations are small")]
                return Ok((Some(Token::Value(Operand::Number(value as f64))), length));
            }
            return Ok((Some(Token::Name(word.to_owned())), length));
        }
    }
    let symbol = WORDS.iter().find(|operator| text.starts_with(**operator));
    match symbol {
        Some(operator) => Ok((Some(Token::Word(operator)), operator.len())),
        None if first == '=' => Err("`=` means nothing; two values are compared with `==`".to_owned()),
        None => Err(format!("`{first}` means nothing")),
    }
}

/// A text between two marks, `\` taking the meaning of the next mark away; with its length.
fn delimited(text: &str, mark: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => {
                // In a regular expression a backslash means something itself.
                if c != mark && (mark == '/' || c != '\\') {
                    value.push('\\');
                }
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == mark => return Some((value, at + c.len_utf8())),
            c => value.push(c),
        }
    }
    None
}
