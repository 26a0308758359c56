//! Reading values: what kind they are, where they stand, and what is wrong with them.

use std::fmt::Display;

use tasuki_model::expr::syntax::{self, Names, Problem as Fault, SyntaxError};
use tasuki_model::expr::{Expr, Literal, Value as ExprValue};

use super::read::value;
use crate::Session;
use crate::diag::{Problem, code, did_you_mean, reshaped};
use crate::yaml::{Kind, Map, Node, Span, Style, Value};

/// A value that may have expressions in it, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) span: Span,
    pub(super) expr: Expr,
}

impl Field {
    pub(super) fn text(text: &str, span: Span) -> Self {
        Self {
            span,
            expr: Expr::Literal(Literal::Text(text.to_owned())),
        }
    }
}

pub(super) fn literal_value(literal: &Literal) -> ExprValue {
    match literal {
        Literal::Null => ExprValue::Null,
        Literal::Bool(value) => ExprValue::Bool(*value),
        Literal::Number(value) => ExprValue::Number(*value),
        Literal::Text(text) => ExprValue::text(text.as_str()),
    }
}

/// What a scalar may be besides an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any scalar that is not null: numbers and booleans are taken as they are written.
    Text,
    Bool,
    Number,
    /// Any scalar.
    Any,
}

pub(super) fn wrong(session: &Session<'_>, node: &Node, what: &dyn Display, wanted: &str) {
    let message = format!("{what} must be {wanted}, not {}", value(node).describe());
    let mut problem = Problem::new(&code::GITHUB_VALUE, node.span, message);
    problem.hint = reshaped(node, wanted);
    session.report(problem);
}

/// The map that a node must be.
pub(super) fn map<'n>(session: &Session<'_>, node: &'n Node, what: &dyn Display) -> Option<&'n Map> {
    let found = node.as_map();
    if found.is_none() {
        wrong(session, node, what, "a map");
    }
    found
}

/// The map that a node must be, with no other keys than these.
pub(super) fn keyed<'n>(session: &Session<'_>, node: &'n Node, what: &dyn Display, known: &[&str]) -> Option<&'n Map> {
    let map = map(session, node, what)?;
    for (key, _) in map.iter() {
        let name = key.text().map_or("", |text| text);
        if !known.contains(&name) {
            let message = format!("`{name}` is no key of {what}");
            let mut problem = Problem::new(&code::GITHUB_UNKNOWN_KEY, key.span, message);
            if session.may_suggest() {
                problem = problem.suggest(name, known.iter().copied());
            }
            if problem.hint.is_none() {
                problem = problem.hint(format!("it may have {}", known.join(", ")));
            }
            session.report(problem);
        }
    }
    Some(map)
}

/// A list of one or more nodes: the node itself where it is none.
pub(super) fn one_or_many(node: &Node) -> Vec<&Node> {
    match node.as_seq() {
        Some(items) => items.iter().collect(),
        None => vec![node],
    }
}

/// The path of an action or workflow of the own repository: `./path`, or `$/path`, which at GitHub needs no checkout.
/// Here both are read at the commit that is built.
pub(super) fn own_path(uses: &str) -> Option<&str> {
    uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/"))
}

/// A text without expressions.
pub(super) fn plain<'n>(session: &Session<'_>, node: &'n Node, what: &dyn Display) -> Option<&'n str> {
    match (&node.kind, value(node)) {
        (Kind::Scalar(..), Value::Null) | (Kind::Map(_) | Kind::Seq(_), _) => {
            wrong(session, node, what, "a text");
            None
        }
        (Kind::Scalar(text, _), _) => Some(text),
    }
}

/// `true` or `false`, without expressions.
pub(super) fn flag(session: &Session<'_>, node: &Node, what: &dyn Display) -> Option<bool> {
    if let Value::Bool(flag) = value(node) {
        return Some(flag);
    }
    wrong(session, node, what, "true or false");
    None
}

/// A scalar of a kind, or an expression that will be of it.
pub(super) fn field(
    session: &Session<'_>,
    node: &Node,
    what: &dyn Display,
    wanted: Wanted,
    names: &Names<'_>,
) -> Option<Field> {
    let span = node.span;
    let Kind::Scalar(text, style) = &node.kind else {
        wrong(session, node, what, "a single value");
        return None;
    };
    if syntax::has_expression(text) {
        if text.chars().count() > syntax::MOST_CHARS {
            let message = format!(
                "{what} has an expression and more than {} characters",
                syntax::MOST_CHARS
            );
            session.report(
                Problem::new(&code::GITHUB_EXPRESSION, span, message)
                    .hint("give the value by `env`, so that the text has no expression, or put the text into a file"),
            );
            return None;
        }
        let tree = syntax::template(text, names);
        let tree = told(session, node, *style, tree)?;
        return tree.map(|expr| Field { span, expr });
    }
    let literal = match value(node) {
        Value::Null => Literal::Null,
        Value::Bool(flag) => Literal::Bool(flag),
        #[expect(clippy::cast_precision_loss, reason = "numbers of expressions are floats")]
        Value::Int(n) => Literal::Number(n as f64),
        Value::Float(n) => Literal::Number(n),
        _ => Literal::Text(text.to_string()),
    };
    let (good, words) = match wanted {
        Wanted::Text => (literal != Literal::Null, "a text"),
        Wanted::Bool => (matches!(literal, Literal::Bool(_)), "true, false or one expression"),
        Wanted::Number => (matches!(literal, Literal::Number(_)), "a number or one expression"),
        Wanted::Any => (true, ""),
    };
    if !good {
        wrong(session, node, what, words);
        return None;
    }
    // `1.10` is a text for whoever wants a text.
    let expr = match wanted {
        Wanted::Text if !matches!(literal, Literal::Bool(_)) => Literal::Text(text.to_string()),
        _ => literal,
    };
    Some(Field {
        span,
        expr: Expr::Literal(expr),
    })
}

/// A condition: the braces may be missing; `Ok(None)` where it is empty.
pub(super) fn condition(session: &Session<'_>, node: &Node, what: &dyn Display, names: &Names<'_>) -> Option<Field> {
    let Kind::Scalar(text, style) = &node.kind else {
        wrong(session, node, what, "a condition");
        return None;
    };
    let span = node.span;
    if text.trim().is_empty() || value(node) == Value::Null {
        return None;
    }
    let braced = syntax::has_expression(text);
    let tree = if braced {
        // Not trimmed: a line end behind the braces makes a text of it, at GitHub too.
        syntax::template(text, names).map(|tree| tree.unwrap_or(Expr::Literal(Literal::Null)))
    } else {
        syntax::parse(text, names)
    };
    let expr = told(session, node, *style, tree)?;
    if let Expr::Concat(_) = expr {
        session.report(
            Problem::new(
                &code::GITHUB_CONDITION,
                span,
                format!("{what} is always true: it is a text with an expression in it"),
            )
            .hint(if text.trim().starts_with("${{") && text.trim().ends_with("}}") {
                "blanks or line ends stand around the braces: leave the braces out, or write `>-` or `|-`"
            } else {
                "write the whole condition between `${{` and `}}`, or without braces"
            }),
        );
    }
    Some(Field { span, expr })
}

/// The tree, or a finding at the word that is to blame.
fn told<T>(session: &Session<'_>, node: &Node, style: Style, tree: Result<T, SyntaxError>) -> Option<T> {
    match tree {
        Ok(tree) => Some(tree),
        Err(error) => {
            let span = place(node, style, &error);
            let mut problem = Problem::new(&code::GITHUB_EXPRESSION, span, error.to_string());
            problem.hint = remedy(&error.problem);
            session.report(problem);
            None
        }
    }
}

/// Contexts of the language. What is none of them is most often a text that lacks its quotes.
const CONTEXTS: [&str; 12] = [
    "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps", "inputs", "jobs",
];

/// What the author can do about it, where that is known.
fn remedy(fault: &Fault) -> Option<String> {
    match fault {
        Fault::Symbol(word) if word.starts_with('"') => {
            Some(format!("texts stand in single quotes: `'{}'`", word.trim_matches('"')))
        }
        Fault::Symbol(word) if word == "=" => Some("two values are compared with `==`".to_owned()),
        Fault::Symbol(word) if matches!(word.as_str(), "&" | "|") => Some(format!("write `{word}{word}`")),
        Fault::Context { name, .. } if !CONTEXTS.contains(&name.to_ascii_lowercase().as_str()) => {
            Some(match did_you_mean(name, CONTEXTS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("a text stands in single quotes: `'{name}'`"),
            })
        }
        Fault::Function(name) => Some(match did_you_mean(name, syntax::functions()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "the functions are {}",
                syntax::functions().collect::<Vec<_>>().join(", ")
            ),
        }),
        Fault::Symbol(_)
        | Fault::Context { .. }
        | Fault::Unexpected(_)
        | Fault::End(_)
        | Fault::Empty
        | Fault::NotClosed
        | Fault::FunctionHere(_)
        | Fault::Arguments { .. }
        | Fault::TooDeep
        | Fault::TooLong => None,
    }
}

/// Where in a scalar a fault is. What is folded or escaped on the way from the file cannot be counted exactly: then
/// the whole scalar is meant.
fn place(node: &Node, style: Style, error: &SyntaxError) -> Span {
    let span = node.span;
    let text = node.text().map_or("", |text| text);
    if style == Style::Block || text.contains(['\n', '\\']) {
        return span;
    }
    let before = text.get(..error.at).unwrap_or_default().chars().count();
    let length = text
        .get(error.at..error.at + error.length)
        .map_or(1, |word| word.chars().count().max(1));
    let quote = usize::from(style == Style::Quoted);
    Span {
        column: span
            .column
            .saturating_add(u32::try_from(before + quote).unwrap_or(u32::MAX)),
        length: u16::try_from(length).unwrap_or(u16::MAX),
        ..span
    }
}

/// Entries of a map of names to values (`env`, `with`, …): single ones, or an object that an expression gives.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    One(String, Field),
    /// `${{ insert }}`, or an expression in place of the map.
    All(Field),
}

/// A map of names to values, whose names are different without case.
pub(super) fn entries(session: &Session<'_>, node: &Node, what: &dyn Display, names: &Names<'_>) -> Vec<Entry> {
    if let Some(text) = node.text()
        && syntax::has_expression(text)
    {
        let all = field(session, node, what, Wanted::Any, names);
        return all.map(Entry::All).into_iter().collect();
    }
    if value(node) == Value::Null {
        return Vec::new();
    }
    let Some(map) = map(session, node, what) else {
        return Vec::new();
    };
    unique(session, map, what);
    let mut found = Vec::with_capacity(map.len());
    for (key, item) in map.iter() {
        let name = key.text().map_or("", |text| text);
        if is_insert(name) {
            found.extend(field(session, item, what, Wanted::Any, names).map(Entry::All));
        } else if syntax::has_expression(name) {
            computed_name(session, key, what, names);
        } else if let Some(item) = field(session, item, &format_args!("`{name}` of {what}"), Wanted::Any, names) {
            found.push(Entry::One(name.to_owned(), item));
        }
    }
    found
}

/// A name that an expression gives: checked as GitHub checks it, and refused.
fn computed_name(session: &Session<'_>, key: &Node, what: &dyn Display, names: &Names<'_>) {
    if field(session, key, &format_args!("a name in {what}"), Wanted::Text, names).is_some() {
        let message = format!("names in {what} cannot be expressions yet");
        session.report(
            Problem::new(&code::UNSUPPORTED, key.span, message)
                .hint("write the name out, or give the whole map as one expression"),
        );
    }
}

/// Whether a key is `${{ insert }}`.
pub(super) fn is_insert(name: &str) -> bool {
    name.strip_prefix("${{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .is_some_and(|inner| inner.trim() == "insert")
}

/// Names that differ by case only are refused.
pub(super) fn unique(session: &Session<'_>, map: &Map, what: &dyn Display) {
    if map.len() < 2 {
        return;
    }
    let mut seen = foldhash::HashSet::default();
    for (key, _) in map.iter() {
        let name = key.text().map_or("", |text| text).to_ascii_lowercase();
        if !seen.insert(name) {
            let message = format!("`{}` is written twice in {what}", key.text().map_or("", |text| text));
            session.error(&code::GITHUB_DUPLICATE_KEY, key.span, message);
        }
    }
}

/// Ids of jobs, steps, inputs: a letter or `_`, then letters, digits, `_`, `-`; below 100 characters.
pub(super) fn check_id(session: &Session<'_>, id: &str, span: Span, what: &str) {
    let good = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && id.len() < 100;
    if !good {
        let message = format!("`{id}` cannot be the id of {what}");
        session.report(
            Problem::new(&code::GITHUB_VALUE, span, message)
                .hint("an id starts with a letter or `_`, has only letters, digits, `_` and `-`, and is shorter than 100 characters"),
        );
    } else if id.starts_with("__") {
        session.error(
            &code::GITHUB_VALUE,
            span,
            format!("`{id}`: ids that start with `__` are reserved"),
        );
    }
}
