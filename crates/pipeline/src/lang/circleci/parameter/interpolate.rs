//! `<< … >>`.

use std::rc::Rc;

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{scalar, unknown};
use crate::lang::circleci::scope::{Executor, Scope, Sight, Steps, Value};
use crate::yaml::{Kind, Map, Node, Span, Style};

/// A `<< path >>` in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lang::circleci) struct Reference<'t> {
    /// Where it begins and ends, in bytes.
    pub(in crate::lang::circleci) start: usize,
    pub(in crate::lang::circleci) end: usize,
    /// `parameters.x`.
    pub(in crate::lang::circleci) path: &'t str,
}

/// All references of a text that are not escaped (`\<<`).
pub(in crate::lang::circleci) fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find('<')?;
            if !text[start..].starts_with("<<") {
                from = start + 1;
                continue;
            }
            from = start + 2;
            let escaped = text[..start].ends_with('\\');
            let inner = &text[start + 2..];
            let trimmed = inner.trim_start_matches([' ', '\t']);
            let length = trimmed
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')))
                .unwrap_or(trimmed.len());
            let (path, after) = trimmed.split_at(length);
            let closed = after.trim_start_matches([' ', '\t']);
            if escaped || path.is_empty() || !closed.starts_with(">>") {
                continue;
            }
            let end = text.len() - closed.len() + 2;
            from = end;
            return Some(Reference { start, end, path });
        }
    })
}

/// The path, where the text is nothing but one reference.
pub(in crate::lang::circleci) fn whole(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    if !trimmed.starts_with("<<") {
        return None;
    }
    let only = references(trimmed).next()?;
    (only.start == 0 && only.end == trimmed.len()).then_some(only.path)
}

/// What a reference stands for.
pub(in crate::lang::circleci) enum Resolved {
    Node(Node),
    Steps(Rc<Steps>),
    Executor(Rc<Executor>),
}

impl Compiler<'_, '_> {
    /// The tree with everything put in. Maps and lists that refer to nothing are shared, not copied.
    pub(in crate::lang::circleci) fn interpolate(&self, node: &Node, scope: &Scope) -> Node {
        if !node.has_angle() {
            return node.clone();
        }
        match &node.kind {
            Kind::Scalar(text, style) => {
                if text.as_bytes().windows(2).any(|pair| pair == b"<<") {
                    self.scalar_in(node, text, *style, scope)
                } else {
                    node.clone()
                }
            }
            Kind::Seq(items) => {
                let items = items.iter().map(|item| self.interpolate(item, scope));
                Node::seq(items.collect(), node.span)
            }
            Kind::Map(map) => {
                let entries = map
                    .iter()
                    .map(|(key, value)| (self.interpolate(key, scope), self.interpolate(value, scope)));
                // Keys that stay are different ones; what is put in may be the same.
                let same_keys = map.iter().all(|(key, _)| !key.has_angle());
                let make = if same_keys { Map::from_unique } else { Map::new };
                Node::map_of(make(entries.collect()), node.span)
            }
        }
    }

    fn scalar_in(&self, node: &Node, text: &str, style: Style, scope: &Scope) -> Node {
        if let Some(path) = whole(text) {
            return match self.resolve(path, scope, node.span) {
                Some(Resolved::Node(found)) => Node {
                    span: node.span,
                    ..found
                },
                Some(Resolved::Executor(executor)) => Node {
                    span: node.span,
                    ..executor.node.clone()
                },
                Some(Resolved::Steps(_)) => {
                    let message = format!("`{path}` is steps: they can only stand where steps do");
                    self.error(&code::CIRCLECI_INTERPOLATION, node.span, message);
                    unknown(node.span)
                }
                None => unknown(node.span),
            };
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for found in references(text) {
            out.push_str(&text[done..found.start]);
            done = found.end;
            let value = match self.resolve(found.path, scope, node.span) {
                Some(Resolved::Node(value)) => scalar(&value),
                Some(Resolved::Executor(executor)) => executor.node.text().cloned(),
                Some(Resolved::Steps(_)) => None,
                None => {
                    out.push_str(unknown(node.span).text().map_or("", |text| text));
                    continue;
                }
            };
            match value {
                Some(value) => out.push_str(&value),
                None => {
                    let message = format!("`{}` is no text that could be put into another", found.path);
                    self.error(&code::CIRCLECI_INTERPOLATION, node.span, message);
                }
            }
        }
        out.push_str(&text[done..]);
        if out.contains('\\') {
            out = out.replace("\\<<", "<<");
        }
        Node::new(Kind::Scalar(out.into(), style), node.span)
    }

    /// What a path stands for; `None` where it is nothing (which was reported) or not known.
    pub(in crate::lang::circleci) fn resolve(&self, path: &str, scope: &Scope, span: Span) -> Option<Resolved> {
        let (head, rest) = path.split_once('.').unwrap_or((path, ""));
        match head {
            "parameters" => {
                let found = scope.parameter(rest);
                if found.is_none() {
                    let known = scope.parameters.iter().flatten().map(|(name, _)| &**name);
                    let message = format!("{} has no parameter `{rest}`", scope.what);
                    let problem = Problem::new(&code::CIRCLECI_INTERPOLATION, span, message);
                    self.report(problem.suggest(rest, known));
                }
                match found? {
                    Value::Node(node) => Some(Resolved::Node(node.clone())),
                    Value::Steps(steps) => Some(Resolved::Steps(steps.clone())),
                    Value::Executor(executor) => Some(Resolved::Executor(executor.clone())),
                }
            }
            "matrix" => {
                let all = scope.matrix.as_deref().unwrap_or_default();
                let found = all.iter().find(|(name, _)| &**name == rest);
                if found.is_none() {
                    let message = format!("there is no matrix parameter `{rest}` here");
                    let problem = Problem::new(&code::CIRCLECI_INTERPOLATION, span, message);
                    self.report(problem.suggest(rest, all.iter().map(|(name, _)| &**name)));
                }
                found.map(|(_, value)| Resolved::Node(value.clone()))
            }
            "pipeline" if scope.sight == Sight::None => {
                let message = format!("`{path}` cannot be seen in an orb");
                let problem = Problem::new(&code::CIRCLECI_INTERPOLATION, span, message);
                self.report(problem.hint("declare a parameter, and give it the value where the orb is used"));
                None
            }
            "pipeline" => self.pipeline_value(path, span).map(Resolved::Node),
            _ => {
                let message = format!("`<< {path} >>` is neither a parameter nor a pipeline value");
                let problem = Problem::new(&code::CIRCLECI_INTERPOLATION, span, message);
                self.report(problem.hint("write `\\<<` where two angle brackets are meant, as in a here-document"));
                None
            }
        }
    }

    /// A pipeline value, with its type.
    pub(in crate::lang::circleci) fn pipeline_value(&self, path: &str, span: Span) -> Option<Node> {
        let found = self.values.get(path);
        if found.is_none() {
            let message = format!("there is no pipeline value `{path}`");
            let problem = Problem::new(&code::CIRCLECI_INTERPOLATION, span, message);
            self.report(problem.suggest(path, self.values.names()));
        }
        found.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{references, whole};

    #[test]
    fn references_are_found() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<&str> = references(text).map(|found| found.path).collect();
            assert_eq!(found, expected, "{text}");
        };
        check(
            "a << parameters.x >> b <<pipeline.git.branch>>",
            &["parameters.x", "pipeline.git.branch"],
        );
        check("cat <<EOF\nx\nEOF", &[]);
        check("cat \\<< parameters.x >>", &[]);
        check("<<<< parameters.x >>", &["parameters.x"]);
        check("<<", &[]);
        check("<< a b >>", &[]);
    }

    #[test]
    fn a_text_that_is_one_reference() {
        assert_eq!(whole(" << parameters.x >>\n"), Some("parameters.x"));
        assert_eq!(whole("<< a.b >> << c.d >>"), None);
        assert_eq!(whole("x"), None);
    }
}
