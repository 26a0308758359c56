//! `hashFiles` of a step's expressions: computed in the sandbox before the step is decided.

use tasuki_model::expr::{Expr, Value, evaluate};
use tasuki_model::plan::{Step, StepKind};

use super::scope::Scope;
use crate::executor::Sandbox;
use crate::guest::{DigestFiles, Request};
use crate::job::build::Build;
use crate::job::command::Limit;
use crate::job::failure::Failure;

/// Digests by the patterns that they were asked with.
pub(super) type Hashes = Vec<(Vec<String>, String)>;

impl Build<'_> {
    /// Computes what is asked for. Patterns that have no value yet are left out: their expression
    /// fails where it is evaluated.
    pub(super) async fn hashes_of(
        &self,
        sandbox: &dyn Sandbox,
        asked: &[&[Expr]],
        scope: &Scope<'_>,
    ) -> Result<Hashes, Failure> {
        let mut hashes = Hashes::new();
        for arguments in asked {
            let values: Result<Vec<Value>, _> = arguments.iter().map(|argument| evaluate(argument, scope)).collect();
            let Ok(values) = values else { continue };
            let patterns = texts(&values);
            if hashes.iter().any(|(known, _)| *known == patterns) {
                continue;
            }
            let request = Request::DigestFiles(DigestFiles {
                folder: sandbox.paths().project.clone(),
                patterns: patterns
                    .iter()
                    .filter(|text| !text.starts_with("--"))
                    .cloned()
                    .collect(),
            });
            let answer = self.guest(sandbox, request, &Limit::Job, "hashFiles").await?;
            hashes.push((patterns, answer.report.digest.unwrap_or_default()));
        }
        Ok(hashes)
    }
}

/// The arguments of each digest that the step's expressions ask for.
pub(super) fn asked(step: &Step) -> Vec<&[Expr]> {
    let mut asked = Vec::new();
    expressions(step).for_each(|expr| collect(expr, &mut asked));
    asked
}

pub(super) fn texts(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value.to_text().to_string()).collect()
}

/// All expressions that are evaluated when the step is reached.
fn expressions(step: &Step) -> impl Iterator<Item = &Expr> {
    let late = step.late.as_deref().into_iter().flat_map(|late| {
        let single = [
            &late.name,
            &late.command,
            &late.directory,
            &late.continue_on_error,
            &late.timeout_minutes,
        ];
        single
            .into_iter()
            .flatten()
            .chain(late.env.iter().map(|(_, expr)| expr))
    });
    let inputs = match &step.kind {
        StepKind::Composite { inputs, .. } | StepKind::Node { inputs, .. } | StepKind::Container { inputs, .. } => {
            Some(inputs.values())
        }
        _ => None,
    };
    step.condition.iter().chain(late).chain(inputs.into_iter().flatten())
}

fn collect<'e>(expr: &'e Expr, found: &mut Vec<&'e [Expr]>) {
    if let Expr::Call { function, arguments } = expr
        && function == "hashfiles"
    {
        found.push(arguments);
    }
    expr.parts().for_each(|part| collect(part, found));
}
