//! `filters`.

use std::fmt::Display;

use crate::Mode;
use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::parameter::whole;
use crate::lang::circleci::read::{SCHEMA, is_null, is_unknown};
use crate::lang::circleci::scope::Scope;
use crate::lang::circleci::values::branch_and_tag;
use crate::yaml::{Map, Node, Value};

impl Compiler<'_, '_> {
    /// Whether filters leave a job. Without any it runs for all branches and no tags.
    pub(super) fn keeps(&self, node: Option<&Node>, scope: &Scope, what: impl Display) -> bool {
        let (branch, tag) = branch_and_tag(&self.session.input.context.trigger);
        let kept = match node.filter(|node| !is_null(node)) {
            None => tag.is_empty(),
            Some(node) => match node.value(SCHEMA) {
                Value::Text(text) if whole(text).is_none() => self.expression(text, node.span).unwrap_or(false),
                Value::Map(_) => {
                    let node = self.interpolate(node, scope);
                    node.as_map().is_some_and(|map| self.filters(map, branch, tag, what))
                }
                _ => {
                    let node = self.interpolate(node, scope);
                    match node.value(SCHEMA) {
                        Value::Bool(flag) => flag,
                        _ => {
                            self.wrong_type(&node, format_args!("`filters` of {what}"), "a map or an expression");
                            false
                        }
                    }
                }
            },
        };
        kept || self.session.mode == Mode::Lint
    }

    fn filters(&self, map: &Map, branch: &str, tag: &str, what: impl Display) -> bool {
        let here = format!("`filters` of {what}");
        self.only(map, &here, &["branches", "tags"]);
        let of = |key: &str, name: &str| {
            let node = map.get(key).filter(|node| !is_null(node))?;
            Some(self.matches_filter(node, name, format_args!("`{key}` in {here}")))
        };
        // Both are looked at, so that mistakes in either are found.
        let (by_branch, by_tag) = (of("branches", branch), of("tags", tag));
        if tag.is_empty() {
            by_branch.unwrap_or(true)
        } else {
            by_tag.unwrap_or(false)
        }
    }

    /// `only` counts before `ignore`.
    pub(super) fn matches_filter(&self, node: &Node, name: &str, what: impl Display) -> bool {
        // The short form: names that are wanted.
        let Some(map) = node.as_map() else {
            return self.any(node, name, what);
        };
        self.only(map, &what, &["only", "ignore"]);
        let of = |key: &str| {
            let node = map.get(key).filter(|node| !is_null(node))?;
            Some(self.any(node, name, format_args!("`{key}` of {what}")))
        };
        let (only, ignore) = (of("only"), of("ignore"));
        only.unwrap_or(true) && !ignore.unwrap_or(false)
    }

    fn any(&self, node: &Node, name: &str, what: impl Display) -> bool {
        let mut found = false;
        for (text, span) in self.texts(node, &what) {
            let regex = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
            found |= match regex {
                Some(_) if is_unknown(node) => true,
                Some(inner) => match self.matches.is_match(inner, name) {
                    Ok(matched) => matched,
                    Err(reason) => {
                        let message = format!("the regular expression {text} in {what} cannot be used: {reason}");
                        self.report(Problem::new(&code::CIRCLECI_CONDITION, span, message));
                        false
                    }
                },
                None => text == name,
            };
        }
        found
    }
}
