//! `variables` at every level.

use tasuki_model::plan::Variable;

use super::check::{Check, value};
use crate::diag::code;
use crate::yaml::{Node, Value};

/// A variable of the root, with what the form for manual pipelines shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RootVariable {
    pub(crate) variable: Variable,
    pub(crate) description: Option<String>,
    pub(crate) options: Vec<String>,
}

/// Variables of the root: scalars or `{value, description, expand, options}`.
pub(super) fn root(check: &mut Check<'_>, node: &Node) -> Option<Vec<RootVariable>> {
    each(check, node, |check, key, node| {
        if !matches!(value(node), Value::Map(_)) {
            return Some(RootVariable {
                variable: Variable::plain(key, scalar(check, node, SCALAR_OR_HASH)?),
                description: None,
                options: Vec::new(),
            });
        }
        let map = check.map(node, &["value", "description", "expand", "options"])?;
        let mut variable = Variable::plain(key, "");
        let options = check.key(map, "options", Check::plain_strings).unwrap_or_default();
        if let Some(node) = map.get("value") {
            variable.value = check.within("value", |check| scalar(check, node, SCALAR))?;
            if !options.is_empty() && !options.contains(&variable.value) {
                check.bad_value(node.span, "value must be present in options");
            }
        } else if let Some(first) = options.first() {
            let problem = check.problem(
                &code::GITLAB_MISSING_KEY,
                node.span,
                "config value must be present in options",
            );
            check.report(problem.hint(format!("add `value: {first}`")));
        }
        variable.raw = check.key(map, "expand", Check::boolean) == Some(false);
        Some(RootVariable {
            variable,
            description: check.key(map, "description", Check::text),
            options,
        })
    })
}

/// Variables of a job: scalars or `{value, expand}`.
pub(super) fn job(check: &mut Check<'_>, node: &Node) -> Option<Vec<Variable>> {
    each(check, node, |check, key, node| {
        if !matches!(value(node), Value::Map(_)) {
            return Some(Variable::plain(key, scalar(check, node, SCALAR_OR_HASH)?));
        }
        let map = check.map(node, &["value", "expand"])?;
        let inner = check.required(map, node.span, "value")?;
        let mut variable = Variable::plain(key, check.within("value", |check| scalar(check, inner, SCALAR))?);
        variable.raw = check.key(map, "expand", Check::boolean) == Some(false);
        Some(variable)
    })
}

/// Variables of rules and services: scalars only.
pub(super) fn plain(check: &mut Check<'_>, node: &Node) -> Option<Vec<Variable>> {
    each(check, node, |check, key, node| {
        Some(Variable::plain(key, scalar(check, node, "a string")?))
    })
}

const SCALAR: &str = "a string, number or boolean";
const SCALAR_OR_HASH: &str = "either a string or a hash";

fn each<T>(
    check: &mut Check<'_>,
    node: &Node,
    mut read: impl FnMut(&mut Check<'_>, &str, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash of key value pairs");
        return None;
    };
    let mut out = Vec::with_capacity(map.len());
    for (key, inner) in map.iter() {
        let Some(name) = key.text() else { continue };
        out.extend(check.within(name, |check| read(check, name, inner)));
    }
    Some(out)
}

/// The text of a scalar as Ruby casts it: `012` is `10`, `yes` is `true`. Null is an error.
fn scalar(check: &mut Check<'_>, node: &Node, expected: &str) -> Option<String> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
            value(node).to_text().map(std::borrow::Cow::into_owned)
        }
        Value::Null => {
            let problem = check.problem(
                &code::GITLAB_TYPE,
                node.span,
                &format!("config variable definition must be {expected}, not nothing (null)"),
            );
            check.report(problem.hint("an empty value is `\"\"`"));
            None
        }
        Value::Date(_) | Value::Map(_) | Value::Seq(_) | Value::Reference(_) => {
            let text = format!(
                "config variable definition must be {expected}, not {}",
                value(node).describe()
            );
            check.report(check.problem(&code::GITLAB_TYPE, node.span, &text));
            None
        }
    }
}
