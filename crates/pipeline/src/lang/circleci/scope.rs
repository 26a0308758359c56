//! What `<< … >>` may name at a place.

use std::rc::Rc;

use crate::yaml::{Node, Seq, Span, Text};

use super::package::Package;
use super::read::unknown;

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Node(Node),
    /// Steps belong to where they were written: their names and parameters are those of that place.
    Steps(Rc<Steps>),
    /// So does the name of an executor.
    Executor(Rc<Executor>),
}

#[derive(Debug)]
pub(super) struct Steps {
    pub(super) items: Option<Seq>,
    pub(super) scope: Rc<Scope>,
}

#[derive(Debug)]
pub(super) struct Executor {
    /// Interpolated already.
    pub(super) node: Node,
    pub(super) scope: Rc<Scope>,
}

/// Whether pipeline values are to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Pipeline,
    /// Inside of orbs, and in declarations.
    None,
}

/// One place.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) package: Rc<Package>,
    /// Of the element; `None` where there are none (workflows).
    pub(super) parameters: Option<Vec<(Text, Value)>>,
    pub(super) matrix: Option<Vec<(Text, Node)>>,
    pub(super) sight: Sight,
    /// For messages: command `x`.
    pub(super) what: String,
    /// Commands around it.
    pub(super) depth: u16,
    /// The command that it belongs to, and those that led there.
    pub(super) calls: Option<Rc<Call>>,
}

/// A command that is being expanded.
#[derive(Debug)]
pub(super) struct Call {
    /// Place of the command's definition.
    pub(super) element: Span,
    pub(super) outer: Option<Rc<Call>>,
}

impl Scope {
    /// A place of a package without parameters.
    pub(super) fn of(package: &Rc<Package>, what: impl Into<String>) -> Self {
        Self {
            sight: package.sight(),
            package: package.clone(),
            parameters: None,
            matrix: None,
            what: what.into(),
            depth: 0,
            calls: None,
        }
    }

    /// Whether a command is being expanded here.
    pub(super) fn is_inside(&self, element: Span) -> bool {
        std::iter::successors(self.calls.as_deref(), |call| call.outer.as_deref()).any(|call| call.element == element)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&Value> {
        let all = self.parameters.as_ref()?;
        all.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// The same place, with values that are not known.
    pub(super) fn with_unknown_values(&self) -> Self {
        let known = self.parameters.as_ref().map(|all| {
            let hidden = all.iter().map(|(name, value)| {
                let value = match value {
                    Value::Node(node) => Value::Node(unknown(node.span)),
                    Value::Steps(_) | Value::Executor(_) => value.clone(),
                };
                (name.clone(), value)
            });
            hidden.collect()
        });
        Self {
            package: self.package.clone(),
            parameters: known,
            matrix: self.matrix.clone(),
            sight: self.sight,
            what: self.what.clone(),
            depth: self.depth,
            calls: self.calls.clone(),
        }
    }
}
