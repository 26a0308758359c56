//! Arguments, checked against declarations.

use std::rc::Rc;

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{SCHEMA, is_unknown, kind, unknown};
use crate::lang::circleci::scope::{Executor, Scope, Sight, Steps, Value};
use crate::yaml::{self, Node, Span, Text};

use super::declaration::{Declaration, Type, fits, of_pipeline};
use super::interpolate::{Resolved, whole};

/// What is given to an element.
pub(in crate::lang::circleci) enum Given<'g> {
    /// By name, as written at the place of `scope`.
    Arguments {
        entries: &'g [(Node, Node)],
        scope: &'g Rc<Scope>,
    },
    /// It is only checked: whatever has no default is unknown.
    Unknown,
}

impl Compiler<'_, '_> {
    /// The scope of an element that is used at `span`.
    pub(in crate::lang::circleci) fn bind(
        &self,
        declared: &[Declaration],
        given: &Given<'_>,
        inner: Scope,
        span: Span,
    ) -> Rc<Scope> {
        let mut values = Vec::with_capacity(declared.len());
        let mut missing = Vec::new();
        for declaration in declared {
            let argument = match given {
                Given::Arguments { entries, scope } => entries
                    .iter()
                    .find(|(key, _)| key.text().is_some_and(|text| *text == declaration.name))
                    .map(|(_, value)| (value, *scope)),
                Given::Unknown => None,
            };
            let value = match (argument, &declaration.default, given) {
                (Some((node, scope)), _, _) => self.argument(declaration, node, scope, &inner),
                (None, Some(default), _) => self.default(declaration, default, &inner),
                (None, None, Given::Unknown) => unknown_value(declaration, span, &inner),
                (None, None, Given::Arguments { .. }) => {
                    missing.push(&*declaration.name);
                    unknown_value(declaration, span, &inner)
                }
            };
            values.push((declaration.name.clone(), value));
        }
        if !missing.is_empty() {
            let message = format!("{} lacks the argument{}", inner.what, list(&missing));
            self.error(&code::CIRCLECI_ARGUMENT, span, message);
        }
        if let Given::Arguments { entries, .. } = given {
            self.unexpected(declared, entries, &inner.what);
        }
        Rc::new(Scope {
            parameters: Some(values),
            ..inner
        })
    }

    fn unexpected(&self, declared: &[Declaration], entries: &[(Node, Node)], what: &str) {
        for (key, _) in entries {
            let Some(name) = key.text() else {
                self.wrong_type(key, format_args!("an argument of {what}"), "named by a string");
                continue;
            };
            if !declared.iter().any(|declaration| declaration.name == *name) {
                let message = format!("unexpected argument `{name}`: {what} has no parameter of that name");
                let problem = Problem::new(&code::CIRCLECI_ARGUMENT, key.span, message);
                self.report(problem.suggest(name, declared.iter().map(|declaration| &*declaration.name)));
            }
        }
    }

    fn argument(&self, declaration: &Declaration, node: &Node, scope: &Rc<Scope>, inner: &Scope) -> Value {
        if let Some(path) = node.text().and_then(|text| whole(text)) {
            match (self.resolve(path, scope, node.span), &declaration.kind) {
                (Some(Resolved::Steps(steps)), Type::Steps) => return Value::Steps(steps),
                (Some(Resolved::Executor(executor)), Type::Executor) => return Value::Executor(executor),
                (None, _) => return unknown_value(declaration, node.span, inner),
                _ => {}
            }
        }
        match declaration.kind {
            Type::Steps => {
                let items = self.seq(node, format_args!("argument `{}` of {}", declaration.name, inner.what));
                Value::Steps(Rc::new(Steps {
                    items: items.cloned(),
                    scope: scope.clone(),
                }))
            }
            Type::Executor => {
                let node = self.interpolate(node, scope);
                if !self.check(declaration, &node, inner) {
                    return unknown_value(declaration, node.span, inner);
                }
                Value::Executor(Rc::new(Executor {
                    node,
                    scope: scope.clone(),
                }))
            }
            Type::String | Type::Boolean | Type::Integer | Type::Enum(_) | Type::EnvVarName => {
                let node = self.interpolate(node, scope);
                if self.check(declaration, &node, inner) {
                    Value::Node(typed(declaration, node))
                } else {
                    unknown_value(declaration, node.span, inner)
                }
            }
        }
    }

    fn check(&self, declaration: &Declaration, node: &Node, inner: &Scope) -> bool {
        if is_unknown(node) {
            return true;
        }
        if let Err(expected) = fits(&declaration.kind, node) {
            let name = &declaration.name;
            let found = match node.text() {
                Some(text) => format!("`{text}`"),
                None => kind(node).to_owned(),
            };
            let message = format!("argument `{name}` of {} must be {expected}, not {found}", inner.what);
            self.error(&code::CIRCLECI_ARGUMENT, node.span, message);
            return false;
        }
        true
    }

    /// Defaults belong to where they are declared.
    fn default(&self, declaration: &Declaration, node: &Node, inner: &Scope) -> Value {
        let home = || {
            Rc::new(Scope {
                package: inner.package.clone(),
                parameters: None,
                matrix: None,
                sight: Sight::None,
                what: format!("the default of parameter `{}`", declaration.name),
                depth: inner.depth,
                calls: inner.calls.clone(),
            })
        };
        match declaration.kind {
            Type::Steps => Value::Steps(Rc::new(Steps {
                items: node.as_seq().cloned(),
                scope: home(),
            })),
            Type::Executor => Value::Executor(Rc::new(Executor {
                node: node.clone(),
                scope: home(),
            })),
            Type::String | Type::Boolean | Type::Integer | Type::Enum(_) | Type::EnvVarName => {
                if !of_pipeline(node) {
                    return Value::Node(typed(declaration, node.clone()));
                }
                let found = self.interpolate(node, &Scope::of(&inner.package, home().what.clone()));
                if self.check(declaration, &found, inner) && !is_unknown(&found) {
                    Value::Node(typed(declaration, found))
                } else {
                    unknown_value(declaration, node.span, inner)
                }
            }
        }
    }
}

/// A string stays one, whatever it looks like.
fn typed(declaration: &Declaration, node: Node) -> Node {
    let quotes = matches!(declaration.kind, Type::String | Type::Enum(_) | Type::EnvVarName);
    match node.value(SCHEMA) {
        yaml::Value::Null if quotes => Node::string("", node.span),
        yaml::Value::Bool(flag) => Node::plain(if flag { "true" } else { "false" }, node.span),
        _ if quotes => match node.text() {
            Some(text) => Node::string(Text::clone(text), node.span),
            None => node,
        },
        _ => node,
    }
}

fn unknown_value(declaration: &Declaration, span: Span, inner: &Scope) -> Value {
    let home = || Rc::new(Scope::of(&inner.package, String::new()));
    match declaration.kind {
        Type::Steps => Value::Steps(Rc::new(Steps {
            items: None,
            scope: home(),
        })),
        Type::Executor => Value::Executor(Rc::new(Executor {
            node: unknown(span),
            scope: home(),
        })),
        Type::String | Type::Boolean | Type::Integer | Type::Enum(_) | Type::EnvVarName => Value::Node(unknown(span)),
    }
}

fn list(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{plural} {}", names.join(", "))
}
