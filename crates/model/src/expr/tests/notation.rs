//! A notation for tests: GitHub's, with `=== !== <. =~ !~ ^=` for the strict operators.

use super::{BinaryOp, Expr, Literal};

pub(super) fn parse(text: &str) -> Expr {
    let mut parser = Parser { text, at: 0 };
    let expr = parser.binary(0);
    parser.space();
    assert_eq!(parser.at, text.len(), "{text}: rest `{}`", &text[parser.at..]);
    expr
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

const LEVELS: [&[(&str, BinaryOp)]; 4] = [
    &[("||", BinaryOp::Or)],
    &[("&&", BinaryOp::And)],
    &[
        ("===", BinaryOp::StrictEq),
        ("!==", BinaryOp::StrictNe),
        ("==", BinaryOp::LooseEq),
        ("!=", BinaryOp::LooseNe),
        ("=~", BinaryOp::Matches),
        ("!~", BinaryOp::NotMatches),
        ("^=", BinaryOp::StartsWith),
    ],
    &[
        ("<.", BinaryOp::StrictLt),
        ("<=", BinaryOp::LooseLe),
        (">=", BinaryOp::LooseGe),
        ("<", BinaryOp::LooseLt),
        (">", BinaryOp::LooseGt),
    ],
];

impl Parser<'_> {
    fn space(&mut self) {
        while self.text[self.at..].starts_with(' ') {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take(&mut self, keep: impl Fn(char) -> bool) -> String {
        let taken: String = self.text[self.at..].chars().take_while(|c| keep(*c)).collect();
        self.at += taken.len();
        taken
    }

    fn binary(&mut self, level: usize) -> Expr {
        let Some(ops) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1);
        while let Some((_, op)) = ops.iter().find(|(token, _)| self.eat(token)) {
            let right = self.binary(level + 1);
            left = Expr::Binary {
                op: *op,
                left: Box::new(left),
                right: Box::new(right),
            };
        }
        left
    }

    fn unary(&mut self) -> Expr {
        if self.eat("!") {
            return Expr::Not(Box::new(self.unary()));
        }
        let mut of = self.primary();
        loop {
            of = if self.eat(".*") || self.eat("[*]") {
                Expr::Filter(Box::new(of))
            } else if self.eat(".") {
                let name = self.take(|c| c.is_alphanumeric() || c == '_' || c == '-');
                Expr::Index {
                    of: Box::new(of),
                    index: Box::new(Expr::Literal(Literal::Text(name))),
                }
            } else if self.eat("[") {
                let index = Box::new(self.binary(0));
                assert!(self.eat("]"));
                Expr::Index {
                    of: Box::new(of),
                    index,
                }
            } else {
                return of;
            };
        }
    }

    fn primary(&mut self) -> Expr {
        self.space();
        if self.eat("(") {
            let inner = self.binary(0);
            assert!(self.eat(")"));
            return inner;
        }
        if self.eat("'") {
            let text = self.take(|c| c != '\'');
            self.at += 1;
            return Expr::Literal(Literal::Text(text));
        }
        let word = self.take(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if number && !word.contains("Inf") {
            let fraction = if self.text[self.at..].starts_with('.') && !self.text[self.at..].starts_with(".*") {
                self.at += 1;
                format!(".{}", self.take(|c| c.is_ascii_digit()))
            } else {
                String::new()
            };
            return Expr::Literal(Literal::Number(format!("{word}{fraction}").parse().unwrap()));
        }
        match word.as_str() {
            "null" => Expr::Literal(Literal::Null),
            "true" => Expr::Literal(Literal::Bool(true)),
            "false" => Expr::Literal(Literal::Bool(false)),
            "NaN" => Expr::Literal(Literal::Number(f64::NAN)),
            "Infinity" => Expr::Literal(Literal::Number(f64::INFINITY)),
            "-Infinity" => Expr::Literal(Literal::Number(f64::NEG_INFINITY)),
            _ if self.eat("(") => {
                let mut arguments = Vec::new();
                while !self.eat(")") {
                    arguments.push(self.binary(0));
                    self.eat(",");
                }
                Expr::Call {
                    function: word,
                    arguments,
                }
            }
            _ => Expr::Context(word),
        }
    }
}
