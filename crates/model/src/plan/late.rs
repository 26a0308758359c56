//! Parts of a step that are known only when it is reached.

use serde::{Deserialize, Serialize};

use super::{Step, StepKind};
use crate::expr::{Context, Error, Expr, Value, evaluate};

/// Expressions that replace parts of their step when it is reached. They see what steps before it left.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Late {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_on_error: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<Expr>,
    /// Variables of the step's environment, in order; each sees those before it only through `env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, Expr)>,
}

impl Late {
    /// Whether it replaces nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Step {
    /// The values of the late part of its environment, in order.
    ///
    /// # Errors
    /// An expression has no value.
    pub fn late_env(&self, context: &dyn Context) -> Result<Vec<(String, String)>, Error> {
        let late = self.late.iter().flat_map(|late| &late.env);
        late.map(|(key, expr)| Ok((key.clone(), text(expr, context)?)))
            .collect()
    }

    /// The step with its late parts decided, but for the environment.
    ///
    /// # Errors
    /// An expression has no value, or one that its place cannot take.
    pub fn settled(&self, context: &dyn Context) -> Result<Self, Error> {
        let mut step = self.clone();
        let Some(late) = step.late.take() else {
            return Ok(step);
        };
        let value = |expr: &Option<Expr>| expr.as_ref().map(|expr| text(expr, context)).transpose();
        if let Some(name) = value(&late.name)? {
            step.name = name;
        }
        if let StepKind::Run { command, directory, .. } = &mut step.kind {
            if let Some(text) = value(&late.command)? {
                *command = text;
            }
            if let Some(text) = value(&late.directory)? {
                *directory = Some(text);
            }
        }
        if let Some(expr) = &late.continue_on_error {
            step.continue_on_error = match evaluate(expr, context)? {
                Value::Bool(flag) => flag,
                other => other.to_text().eq_ignore_ascii_case("true"),
            };
        }
        if let Some(expr) = &late.timeout_minutes {
            step.timeout_s = seconds(evaluate(expr, context)?.to_number());
        }
        Ok(step)
    }
}

/// Minutes as whole seconds; nothing where the number is none, or not above zero.
#[must_use]
pub fn seconds(minutes: f64) -> Option<u64> {
    let seconds = minutes * 60.0;
    // In range: checked on this line.
    (seconds > 0.0 && seconds < 1e12).then_some(seconds as u64)
}

fn text(expr: &Expr, context: &dyn Context) -> Result<String, Error> {
    Ok(evaluate(expr, context)?.to_text().to_string())
}
