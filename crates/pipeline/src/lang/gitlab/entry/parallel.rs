//! `parallel` as written, and the matrices in `needs:parallel`.

use super::check::{Check, every, value};
use crate::diag::code;
use crate::yaml::{Node, Span, Value};

/// How many siblings a job becomes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Parallel {
    Count(u32),
    Matrix(Matrix),
}

/// For each map of `matrix`: its variables with their values, in the order written.
pub(crate) type Matrix = Vec<Vec<(String, Vec<String>)>>;

/// One member of a matrix: its variables in order.
pub(crate) type Cell = Vec<(String, String)>;

/// The members of a matrix: for each map the product in key order, the last key fastest.
pub(crate) fn cells(matrix: &Matrix) -> Vec<Cell> {
    let mut all = Vec::new();
    for vectors in matrix {
        let mut product: Vec<Cell> = vec![Vec::new()];
        for (key, values) in vectors {
            product = product
                .iter()
                .flat_map(|cell| {
                    values.iter().map(|value| {
                        let mut longer = cell.clone();
                        longer.push((key.clone(), value.clone()));
                        longer
                    })
                })
                .collect();
        }
        all.extend(product.into_iter().filter(|cell| !cell.is_empty()));
    }
    all
}

/// `job: [v1, v2]`: values only, no keys.
pub(crate) fn cell_name(base: &str, cell: &[(String, String)]) -> String {
    let values: Vec<&str> = cell.iter().map(|(_, value)| value.as_str()).collect();
    format!("{base}: [{}]", values.join(", "))
}

fn size(matrix: &Matrix) -> usize {
    matrix
        .iter()
        .map(|vectors| {
            vectors
                .iter()
                .map(|(_, values)| values.len())
                .fold(1_usize, usize::saturating_mul)
        })
        .fold(0, usize::saturating_add)
}

pub(super) fn parallel(check: &mut Check<'_>, node: &Node) -> Option<Parallel> {
    let limit = check.session.input.context.limits.parallel;
    match value(node) {
        Value::Int(n) => match u32::try_from(n) {
            Ok(count) if count >= 1 && count as usize <= limit => Some(Parallel::Count(count)),
            Ok(_) | Err(_) => {
                check.bad_value(node.span, &format!("must be between 1 and {limit}, not {n}"));
                None
            }
        },
        Value::Map(_) => matrix_map(check, node).map(Parallel::Matrix),
        _ => {
            check.wrong_type(node, "an integer or a hash");
            None
        }
    }
}

/// `{matrix: [...]}`; of `needs:parallel`, too.
pub(super) fn matrix_map(check: &mut Check<'_>, node: &Node) -> Option<Matrix> {
    let map = check.map(node, &["matrix"])?;
    let inner = check.required(map, node.span, "matrix")?;
    check.within("matrix", |check| matrix(check, inner))
}

fn matrix(check: &mut Check<'_>, node: &Node) -> Option<Matrix> {
    let Value::Seq(items) = value(node) else {
        check.wrong_type(node, "an array of hashes");
        return None;
    };
    let matrix: Matrix = every(items.iter().map(|item| vectors(check, item)))?;
    if matrix.is_empty() {
        check.bad_value(node.span, "can't be blank");
        return None;
    }
    within_limit(check, node.span, &matrix).then_some(matrix)
}

fn within_limit(check: &Check<'_>, span: Span, matrix: &Matrix) -> bool {
    let (size, limit) = (size(matrix), check.session.input.context.limits.parallel);
    if size > limit {
        check.bad_value(span, &format!("generates too many jobs: {size} (maximum is {limit})"));
    }
    size <= limit
}

fn vectors(check: &mut Check<'_>, node: &Node) -> Option<Vec<(String, Vec<String>)>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash of key value pairs, value can be an array");
        return None;
    };
    let mut out = Vec::with_capacity(map.len());
    let mut good = true;
    for (key, inner) in map.iter() {
        let Some(name) = key.text() else { continue };
        let values: Option<Vec<String>> = match value(inner) {
            Value::Seq(items) if items.is_empty() => {
                check.bad_value(inner.span, &format!("{name} can't be blank"));
                None
            }
            Value::Seq(items) => every(items.iter().map(|item| cell_value(check, name, item))),
            _ => cell_value(check, name, inner).map(|value| vec![value]),
        };
        match values {
            Some(values) => out.push((name.to_string(), values)),
            None => good = false,
        }
    }
    if out.is_empty() && good {
        check.bad_value(node.span, "can't be blank");
        return None;
    }
    good.then_some(out)
}

/// A string or an integer; floats and booleans lose their spelling in YAML, so they must be quoted.
fn cell_value(check: &Check<'_>, key: &str, node: &Node) -> Option<String> {
    match value(node) {
        Value::Text(text) | Value::Symbol(text) => Some(text.to_owned()),
        Value::Int(n) => Some(n.to_string()),
        other => {
            let text = format!(
                "config should be a hash of key value pairs, value can be an array; `{key}` has {}",
                other.describe()
            );
            let written = node.text().filter(|text| !text.is_empty());
            let mut problem = check.problem(&code::GITLAB_TYPE, node.span, &text);
            problem.hint = written.map(|text| format!("put it in quotes: `\"{text}\"`"));
            check.report(problem);
            None
        }
    }
}
