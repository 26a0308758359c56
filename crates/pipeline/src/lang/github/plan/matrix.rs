//! Expansion of `strategy.matrix`.

use std::sync::Arc;

use tasuki_model::expr::syntax::has_expression;
use tasuki_model::expr::{BinaryOp, Context, Expr, Value, evaluate};

use super::super::entry::{Matrix, MatrixRows};
use super::super::fields::{self, Wanted};
use super::super::read::value;
use super::super::{fold, names};
use super::scope::{Scope, binary};
use crate::diag::code;
use crate::yaml::{Node, Span, Value as Yaml};
use crate::{Mode, Session};

/// Jobs that one matrix makes at most.
const MOST_JOBS: usize = 256;

/// A combination: values by key.
type Row = Vec<(Arc<str>, Value)>;

/// One job of the matrix.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) values: Row,
    /// ` (a, b)`, behind the job's name.
    pub(super) suffix: String,
}

/// The parts of a matrix, evaluated.
#[derive(Default)]
struct Parts {
    vectors: Vec<(Arc<str>, Vec<Value>)>,
    include: Vec<Row>,
    exclude: Vec<Row>,
}

/// The members of a matrix; `None` where it cannot be expanded, which has been told.
pub(super) fn expand(session: &Session<'_>, matrix: &Matrix, scope: &Scope<'_>) -> Option<Vec<Member>> {
    let before = session.errors();
    let parts = parts(session, matrix, scope)?;
    check_exclude(session, matrix, &parts);
    let sizes = parts.vectors.iter().map(|(_, values)| values.len());
    let product: usize = sizes.fold(1, usize::saturating_mul);
    // What is excluded does not count, but nobody writes ten thousand to keep a few.
    if product > MOST_JOBS * 40 {
        too_many(session, matrix.span, product);
        return None;
    }
    if session.errors() != before {
        return None;
    }
    let members = combine(&parts);
    if members.len() > MOST_JOBS {
        too_many(session, matrix.span, members.len());
    }
    if members.is_empty() {
        session.error(&code::GITHUB_MATRIX, matrix.span, "nothing is left of the matrix");
    }
    (session.errors() == before).then_some(members)
}

fn too_many(session: &Session<'_>, span: Span, found: usize) {
    let message = format!("the matrix makes {found} jobs: there may be {MOST_JOBS}");
    session.error(&code::GITHUB_MATRIX, span, message);
}

fn parts(session: &Session<'_>, matrix: &Matrix, scope: &Scope<'_>) -> Option<Parts> {
    let mut parts = Parts::default();
    if let Some(whole) = &matrix.whole {
        let Value::Object(object) = scope.value(session, whole, "the matrix")? else {
            session.error(&code::GITHUB_MATRIX, whole.span, "the matrix must be an object");
            return None;
        };
        for (key, value) in object.iter() {
            match key {
                "include" => parts.include = rows(session, value, whole.span, "include"),
                "exclude" => parts.exclude = rows(session, value, whole.span, "exclude"),
                _ => {
                    let values = list(session, key, value, whole.span);
                    parts.vectors.push((key.into(), values));
                }
            }
        }
    }
    for (key, vector) in &matrix.vectors {
        let value = node_value(session, &vector.node, scope)?;
        let nothing = matches!(&value, Value::Array(array) if array.items.is_empty());
        if nothing && session.mode == Mode::Lint && vector.node.as_seq().is_none() {
            // Without a trigger there is no payload, whose values these would be.
            return None;
        }
        parts
            .vectors
            .push((key.as_str().into(), list(session, key, &value, vector.span)));
    }
    let read = |given: &Option<MatrixRows>, name: &str| -> Option<Vec<Row>> {
        let Some(given) = given else { return Some(Vec::new()) };
        let value = node_value(session, &given.node, scope)?;
        Some(rows(session, &value, given.node.span, name))
    };
    parts.include.extend(read(&matrix.include, "include")?);
    parts.exclude.extend(read(&matrix.exclude, "exclude")?);
    Some(parts)
}

fn combine(parts: &Parts) -> Vec<Member> {
    let mut originals: Vec<Row> = Vec::new();
    for (key, values) in &parts.vectors {
        let with = |row: &Row, value: &Value| {
            let mut row = row.clone();
            row.push((key.clone(), value.clone()));
            row
        };
        originals = if originals.is_empty() {
            values.iter().map(|value| with(&Vec::new(), value)).collect()
        } else {
            let pairs = originals
                .iter()
                .flat_map(|row| values.iter().map(move |value| (row, value)));
            pairs.map(|(row, value)| with(row, value)).collect()
        };
    }
    let excluded = |row: &Row| {
        let entry = |entry: &Row| entry.iter().all(|(key, value)| has(row, key, value));
        parts.exclude.iter().any(entry)
    };
    originals.retain(|row| !excluded(row));
    let mut rows: Vec<(Row, Row)> = originals.into_iter().map(|row| (row.clone(), row)).collect();
    let mut own: Vec<Row> = Vec::new();
    let is_vector = |key: &str| parts.vectors.iter().any(|(known, _)| known.eq_ignore_ascii_case(key));
    for entry in &parts.include {
        let mut matched = false;
        for (original, row) in &mut rows {
            let mut filters = entry.iter().filter(|(key, _)| is_vector(key));
            if filters.all(|(key, value)| has(original, key, value)) {
                matched = true;
                for (key, value) in entry.iter().filter(|(key, _)| !is_vector(key)) {
                    row.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
                    row.push((key.clone(), value.clone()));
                }
            }
        }
        if !matched {
            own.push(entry.clone());
        }
    }
    let member = |original: &Row, values: Row| Member {
        suffix: suffix(original),
        values,
    };
    let mut members: Vec<Member> = rows.into_iter().map(|(original, row)| member(&original, row)).collect();
    members.extend(own.into_iter().map(|row| member(&row, row.clone())));
    members
}

/// Whether a row has a value under a key: loosely equal on the leaves; objects may be given in part.
fn has(row: &Row, key: &str, wanted: &Value) -> bool {
    let found = row.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
    found.is_some_and(|(_, found)| fits(found, wanted))
}

fn fits(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).is_some_and(|found| fits(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            let mut pairs = found.items.iter().zip(&wanted.items);
            found.items.len() == wanted.items.len() && pairs.all(|(a, b)| fits(a, b))
        }
        _ => loosely_equal(found, wanted),
    }
}

/// The language's `==`.
fn loosely_equal(a: &Value, b: &Value) -> bool {
    struct Two<'v>(&'v Value, &'v Value);
    impl Context for Two<'_> {
        fn root(&self, name: &str) -> Option<Value> {
            Some(if name == "a" { self.0.clone() } else { self.1.clone() })
        }

        fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
            None
        }
    }
    let side = |name: &str| Expr::Context(name.to_owned());
    let equal = binary(BinaryOp::LooseEq, side("a"), side("b"));
    evaluate(&equal, &Two(a, b)).is_ok_and(|value| value.is_truthy())
}

/// ` (v1, v2)` of the leaves in order.
fn suffix(row: &Row) -> String {
    let mut leaves: Vec<Arc<str>> = Vec::new();
    for (_, value) in row {
        collect(value, &mut leaves);
    }
    leaves.retain(|leaf| !leaf.is_empty());
    if leaves.is_empty() {
        return String::new();
    }
    format!(" ({})", leaves.join(", "))
}

fn collect(value: &Value, leaves: &mut Vec<Arc<str>>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(_, value)| collect(value, leaves)),
        Value::Array(array) => array.items.iter().for_each(|value| collect(value, leaves)),
        leaf => leaves.push(leaf.to_text()),
    }
}

fn list(session: &Session<'_>, key: &str, value: &Value, span: Span) -> Vec<Value> {
    let message = match value {
        Value::Array(array) if !array.items.is_empty() => return array.items.clone(),
        Value::Array(_) => format!("`{key}` of the matrix has no value"),
        _ => format!("`{key}` of the matrix must be a list"),
    };
    session.error(&code::GITHUB_MATRIX, span, message);
    Vec::new()
}

fn rows(session: &Session<'_>, value: &Value, span: Span, name: &str) -> Vec<Row> {
    let wrong = || {
        session.error(
            &code::GITHUB_MATRIX,
            span,
            format!("`{name}` must be a list of objects"),
        );
    };
    let Value::Array(array) = value else {
        wrong();
        return Vec::new();
    };
    let mut found = Vec::new();
    for item in &array.items {
        match item {
            Value::Object(object) => {
                let entries = object.iter().map(|(key, value)| (Arc::from(key), value.clone()));
                found.push(entries.collect());
            }
            _ => wrong(),
        }
    }
    found
}

fn check_exclude(session: &Session<'_>, matrix: &Matrix, parts: &Parts) {
    for (key, _) in parts.exclude.iter().flatten() {
        if !parts.vectors.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
            let span = matrix.exclude.as_ref().map_or(matrix.span, |rows| rows.node.span);
            let message = format!("`exclude` names `{key}`, which is no key of the matrix");
            session.error(&code::GITHUB_MATRIX, span, message);
        }
    }
}

/// A node with the expressions in it evaluated.
fn node_value(session: &Session<'_>, node: &Node, scope: &Scope<'_>) -> Option<Value> {
    Some(match value(node) {
        Yaml::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, node) in map.iter() {
                let name = key.text().map_or("", |text| text);
                entries.push((name.to_owned(), node_value(session, node, scope)?));
            }
            fold::object(entries)
        }
        Yaml::Seq(items) => {
            let items = items.iter().map(|item| node_value(session, item, scope));
            Value::array(items.collect::<Option<_>>()?)
        }
        _ if node.text().is_some_and(|text| has_expression(text)) => {
            let field = fields::field(session, node, &"a value of the matrix", Wanted::Any, &names::STRATEGY)?;
            scope.value(session, &field, "the matrix")?
        }
        Yaml::Bool(flag) => Value::Bool(flag),
        #[expect(clippy::cast_precision_loss, reason = "numbers of expressions are floats")]
        Yaml::Int(n) => Value::Number(n as f64),
        Yaml::Float(n) => Value::Number(n),
        Yaml::Null => Value::Null,
        _ => node.text().map_or(Value::Null, |text| Value::text(&**text)),
    })
}
