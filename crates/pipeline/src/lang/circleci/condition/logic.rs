//! Logic statements: `and`, `or`, `not`, `equal`, `matches`.

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{SCHEMA, is_unknown, listed, scalar};
use crate::yaml::{Map, Node, Value};

const OPERATORS: [&str; 5] = ["and", "or", "not", "equal", "matches"];
const DEEPEST: usize = 100;

impl Compiler<'_, '_> {
    /// Whether a statement holds; everything is put in already. `None` where it cannot be told.
    pub(in crate::lang::circleci) fn logic(&self, node: &Node) -> Option<bool> {
        self.statement(node, 0)
    }

    fn statement(&self, node: &Node, depth: usize) -> Option<bool> {
        if depth > DEEPEST {
            let message = format!("the condition is nested deeper than {DEEPEST} levels");
            self.error(&code::CIRCLECI_CONDITION, node.span, message);
            return None;
        }
        if is_unknown(node) {
            return None;
        }
        match node.value(SCHEMA) {
            Value::Map(map) if map.is_empty() => Some(false),
            Value::Map(map) => self.operator(map, node, depth),
            Value::Seq(items) | Value::Reference(items) if items.is_empty() => Some(false),
            Value::Seq(_) | Value::Reference(_) => {
                let message = format!(
                    "a list is no condition: write one of {} before it",
                    listed(&OPERATORS[..4])
                );
                self.error(&code::CIRCLECI_CONDITION, node.span, message);
                None
            }
            _ => Some(is_true(node)),
        }
    }

    fn operator(&self, map: &Map, node: &Node, depth: usize) -> Option<bool> {
        let [(key, value)] = &map[..] else {
            let message = format!("a condition is a map of exactly one of {}", listed(&OPERATORS));
            self.error(&code::CIRCLECI_CONDITION, node.span, message);
            return None;
        };
        let word = key.text().map_or("", |text| text);
        match word {
            "and" | "or" => {
                let items = self.operands(value, word)?;
                let results: Vec<Option<bool>> = items.iter().map(|item| self.statement(item, depth + 1)).collect();
                let decisive = word == "or";
                if results.contains(&Some(decisive)) {
                    Some(decisive)
                } else if results.contains(&None) {
                    None
                } else {
                    Some(!decisive)
                }
            }
            "not" => self.statement(value, depth + 1).map(|result| !result),
            "equal" => {
                let items = self.operands(value, word)?;
                if items.iter().any(is_unknown) {
                    return None;
                }
                Some(items.windows(2).all(|pair| same(&pair[0], &pair[1])))
            }
            "matches" => self.matches(value),
            other => {
                let message = format!("`{other}` is no operator; there are {}", listed(&OPERATORS));
                let problem = Problem::new(&code::CIRCLECI_CONDITION, key.span, message);
                self.report(problem.suggest(other, OPERATORS));
                None
            }
        }
    }

    fn operands<'n>(&self, node: &'n Node, word: &str) -> Option<&'n [Node]> {
        if is_unknown(node) {
            return None;
        }
        match node.as_seq() {
            Some(items) if !items.is_empty() => Some(items),
            _ => {
                let message = format!("`{word}` takes a list of at least one value");
                self.error(&code::CIRCLECI_CONDITION, node.span, message);
                None
            }
        }
    }

    fn matches(&self, node: &Node) -> Option<bool> {
        let map = self.map(node, "`matches`")?;
        self.only(map, "`matches`", &["pattern", "value"]);
        let pattern = self.required(map, "pattern", "`matches`", node.span);
        let value = self.required(map, "value", "`matches`", node.span);
        let (pattern, value) = (pattern?, value?);
        let text = self.text(pattern, "`pattern`")?;
        if is_unknown(pattern) {
            return None;
        }
        let asked = scalar(value).filter(|_| !is_unknown(value));
        match self.matches.is_match(&text, asked.as_deref().unwrap_or_default()) {
            Ok(_) if is_unknown(value) => None,
            Ok(matched) => Some(matched && asked.is_some()),
            Err(reason) => {
                let message = format!("the regular expression `{text}` cannot be used: {reason}");
                self.error(&code::CIRCLECI_CONDITION, pattern.span, message);
                None
            }
        }
    }
}

/// What counts as true: all but false, nothing, 0, NaN and what is empty.
fn is_true(node: &Node) -> bool {
    match node.value(SCHEMA) {
        Value::Null => false,
        Value::Bool(flag) => flag,
        Value::Int(number) => number != 0,
        Value::Float(number) => number != 0.0 && !number.is_nan(),
        Value::Text(text) | Value::Symbol(text) | Value::Date(text) => !text.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::Seq(items) | Value::Reference(items) => !items.is_empty(),
    }
}

/// Equal in value, however they are written.
fn same(a: &Node, b: &Node) -> bool {
    match (a.value(SCHEMA), b.value(SCHEMA)) {
        (Value::Seq(a), Value::Seq(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let has = |(key, value): &(Node, Node)| {
                key.text()
                    .and_then(|key| b.get(key))
                    .is_some_and(|other| same(value, other))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        (a, b) => a == b,
    }
}
