//! `requires`.

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{is_unknown, listed};
use crate::yaml::{Node, Span};

const STATUSES: [&str; 6] = ["success", "failed", "canceled", "unauthorized", "not_run", "terminal"];

/// A job that has to end first.
#[derive(Debug, Clone)]
pub(super) struct Requirement {
    pub(super) name: String,
    /// Empty = success.
    pub(super) statuses: Vec<String>,
    pub(super) span: Span,
}

impl Compiler<'_, '_> {
    pub(super) fn requirements(&self, node: &Node, job: &str) -> Vec<Requirement> {
        let what = format!("`requires` of job `{job}`");
        if is_unknown(node) {
            return Vec::new();
        }
        let Some(items) = self.seq(node, &what) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.as_map() {
                None => {
                    let name = self.text(item, format_args!("each of {what}"));
                    all.extend(name.filter(|_| !is_unknown(item)).map(|name| Requirement {
                        name,
                        statuses: Vec::new(),
                        span: item.span,
                    }));
                }
                Some(map) => match &map[..] {
                    [(key, value)] => all.extend(key.text().map(|name| Requirement {
                        name: name.to_string(),
                        statuses: self.statuses(value),
                        span: key.span,
                    })),
                    _ => {
                        let message = format!("each of {what} is a name, or one name with statuses");
                        self.error(&code::CIRCLECI_TYPE, item.span, message);
                    }
                },
            }
        }
        all
    }

    fn statuses(&self, node: &Node) -> Vec<String> {
        let mut all = Vec::new();
        for (status, span) in self.texts(node, "a status of `requires`") {
            if STATUSES.contains(&status.as_str()) {
                all.push(status);
                continue;
            }
            let message = format!("a job is never `{status}`; statuses are {}", listed(&STATUSES));
            let problem = Problem::new(&code::CIRCLECI_VALUE, span, message);
            self.report(problem.suggest(&status, STATUSES));
        }
        all
    }
}
