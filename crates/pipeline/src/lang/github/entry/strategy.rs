//! `strategy`.

use super::super::fields::{self, Field, Wanted};
use super::super::names;
use super::super::read::value;
use crate::Session;
use crate::diag::code;
use crate::yaml::{Node, Span, Value};

/// `strategy`.
#[derive(Debug, Clone)]
pub(crate) struct Strategy {
    pub(crate) matrix: Option<Matrix>,
    pub(crate) fail_fast: Option<Field>,
    pub(crate) max_parallel: Option<Field>,
}

/// `matrix`, as written.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub(crate) span: Span,
    /// The whole of it as one expression.
    pub(crate) whole: Option<Field>,
    pub(crate) vectors: Vec<(String, Vector)>,
    pub(crate) include: Option<MatrixRows>,
    pub(crate) exclude: Option<MatrixRows>,
}

/// Values of a key, with the expressions in them unread: they are evaluated as one tree.
#[derive(Debug, Clone)]
pub(crate) struct Vector {
    pub(crate) span: Span,
    pub(crate) node: Node,
}

/// `include` or `exclude`.
#[derive(Debug, Clone)]
pub(crate) struct MatrixRows {
    pub(crate) node: Node,
}

/// Reads `strategy`.
pub(super) fn parse(session: &Session<'_>, node: &Node) -> Option<Strategy> {
    let map = fields::keyed(session, node, &"`strategy`", &["matrix", "fail-fast", "max-parallel"])?;
    let read = |key: &str, wanted| {
        fields::field(
            session,
            map.get(key)?,
            &format_args!("`{key}`"),
            wanted,
            &names::STRATEGY,
        )
    };
    Some(Strategy {
        matrix: map.get("matrix").and_then(|node| matrix(session, node)),
        fail_fast: read("fail-fast", Wanted::Bool),
        max_parallel: read("max-parallel", Wanted::Number),
    })
}

fn matrix(session: &Session<'_>, node: &Node) -> Option<Matrix> {
    let mut found = Matrix {
        span: node.span,
        whole: None,
        vectors: Vec::new(),
        include: None,
        exclude: None,
    };
    if node.as_map().is_none() {
        let is_expression = node
            .text()
            .is_some_and(|text| tasuki_model::expr::syntax::has_expression(text));
        if !is_expression {
            fields::wrong(session, node, &"`matrix`", "a map of lists, or an expression");
            return None;
        }
        found.whole = Some(fields::field(
            session,
            node,
            &"`matrix`",
            Wanted::Any,
            &names::STRATEGY,
        )?);
        return Some(found);
    }
    let map = node.as_map()?;
    let before = session.errors();
    fields::unique(session, map, &"`matrix`");
    for (key, node) in map.iter() {
        let name = key.text().map_or("", |text| text);
        let is_expression = node
            .text()
            .is_some_and(|text| tasuki_model::expr::syntax::has_expression(text));
        match name {
            _ if fields::is_insert(name) => {
                let message = "`${{ insert }}` in a matrix is not supported: make the whole matrix one expression";
                session.error(&code::UNSUPPORTED, key.span, message);
            }
            "include" | "exclude" => {
                if !is_expression && !rows_are_maps(session, node, name) {
                    continue;
                }
                let rows = Some(MatrixRows { node: node.clone() });
                if name == "include" {
                    found.include = rows;
                } else {
                    found.exclude = rows;
                }
            }
            _ => {
                if !is_expression && !matches!(value(node), Value::Seq(_)) {
                    fields::wrong(session, node, &format_args!("`{name}` of the matrix"), "a list");
                    continue;
                }
                if matches!(value(node), Value::Seq(items) if items.is_empty()) {
                    let message = format!("`{name}` of the matrix has no value");
                    session.error(&code::GITHUB_MATRIX, node.span, message);
                    continue;
                }
                let vector = Vector {
                    span: node.span,
                    node: node.clone(),
                };
                found.vectors.push((name.to_owned(), vector));
            }
        }
    }
    if found.vectors.is_empty() && found.include.is_none() && session.errors() == before {
        session.error(
            &code::GITHUB_MATRIX,
            node.span,
            "the matrix has neither a list of values nor `include`",
        );
        return None;
    }
    Some(found)
}

fn rows_are_maps(session: &Session<'_>, node: &Node, name: &str) -> bool {
    let Some(items) = node.as_seq() else {
        fields::wrong(session, node, &format_args!("`{name}`"), "a list of maps");
        return false;
    };
    let mut good = true;
    for item in items.iter() {
        let is_expression = item
            .text()
            .is_some_and(|text| tasuki_model::expr::syntax::has_expression(text));
        if item.as_map().is_none() && !is_expression {
            fields::wrong(session, item, &format_args!("an entry of `{name}`"), "a map");
            good = false;
        }
    }
    good
}
