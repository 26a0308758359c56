//! What expressions of steps see.

use tasuki_model::expr::{Context, Value};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// What a step left.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) id: String,
    /// Before `continue-on-error`.
    pub(super) outcome: Conclusion,
    /// After it.
    pub(super) conclusion: Conclusion,
    pub(super) outputs: Vec<(String, String)>,
}

/// What one expression sees.
pub(super) struct Scope<'a> {
    /// Contexts of the payload, and those that the runner made.
    pub(super) given: &'a [(String, Value)],
    pub(super) env: &'a [(String, String)],
    /// Digests of files that were computed for the step.
    pub(super) hashes: &'a [(Vec<String>, String)],
    pub(super) records: &'a [Record],
    /// Of the action around the step; absent in the job itself.
    pub(super) inputs: Option<&'a Value>,
    /// Something before it, in the job or in its action, has failed.
    pub(super) failed: Failed,
    pub(super) cancelled: Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelled {
    Yes,
    No,
}

impl Scope<'_> {
    fn status(&self) -> &'static str {
        match (self.cancelled, self.failed) {
            (Cancelled::Yes, _) => "cancelled",
            (Cancelled::No, Failed::Yes) => "failure",
            (Cancelled::No, Failed::No) => "success",
        }
    }
}

fn texts(entries: &[(String, String)]) -> Value {
    Value::object(
        entries
            .iter()
            .map(|(key, value)| (key.as_str(), Value::text(value.as_str()))),
    )
}

impl Context for Scope<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "env" => Some(texts(self.env)),
            "steps" => Some(Value::object(self.records.iter().map(|record| {
                let facts = [
                    ("outputs", texts(&record.outputs)),
                    ("outcome", Value::text(record.outcome.as_str())),
                    ("conclusion", Value::text(record.conclusion.as_str())),
                ];
                (record.id.as_str(), Value::object(facts))
            }))),
            "inputs" => Some(self.inputs.cloned().unwrap_or_default()),
            "job" => {
                let known = self.given.iter().find(|(known, _)| known == "job");
                let known = match known {
                    Some((_, Value::Object(object))) => Some(object),
                    _ => None,
                };
                let known = known.into_iter().flat_map(|object| object.iter());
                let known = known.map(|(key, value)| (key, value.clone()));
                Some(Value::object(known.chain([("status", Value::text(self.status()))])))
            }
            _ => self
                .given
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone()),
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        if name == "hashfiles" {
            let patterns = super::hashes::texts(arguments);
            let found = self.hashes.iter().find(|(known, _)| *known == patterns);
            let missing = || "hashFiles can only be used in steps, with patterns that are known when the step starts";
            return Some(
                found
                    .map(|(_, digest)| Value::text(digest.as_str()))
                    .ok_or_else(|| missing().to_owned()),
            );
        }
        let value = match name {
            "always" => true,
            "success" => self.status() == "success",
            "failure" => self.status() == "failure",
            "cancelled" => self.status() == "cancelled",
            _ => return None,
        };
        Some(Ok(Value::Bool(value)))
    }
}

#[cfg(test)]
mod tests {
    use tasuki_model::expr::evaluate;
    use tasuki_model::expr::syntax::{Names, parse};

    use super::*;

    #[test]
    fn what_steps_left_is_seen() {
        let records = [Record {
            id: "Build".to_owned(),
            outcome: Conclusion::Failure,
            conclusion: Conclusion::Success,
            outputs: vec![("path".to_owned(), "out".to_owned())],
        }];
        let env = [("A".to_owned(), "1".to_owned())];
        let given = [("github".to_owned(), Value::object([("workspace", Value::text("/w"))]))];
        let check = |failed, cancelled, text: &str, expected: &str| {
            let scope = Scope {
                given: &given,
                env: &env,
                hashes: &[],
                records: &records,
                inputs: None,
                failed,
                cancelled,
            };
            let names = Names {
                contexts: &["env", "steps", "inputs", "job", "github"],
                functions: &["success", "failure", "always", "cancelled"],
            };
            let value = evaluate(&parse(text, &names).unwrap(), &scope).unwrap();
            assert_eq!(&*value.to_text(), expected, "{text}");
        };
        use {Cancelled as C, Failed as F};
        check(F::No, C::No, "steps.build.outputs.path", "out");
        check(F::No, C::No, "steps.build.outcome", "failure");
        check(F::No, C::No, "steps.build.conclusion", "success");
        check(F::No, C::No, "steps.none.outputs.x", "");
        check(F::No, C::No, "env.A == 1 && github.workspace", "/w");
        check(F::No, C::No, "success() && !failure() && always()", "true");
        check(F::Yes, C::No, "job.status", "failure");
        check(F::Yes, C::No, "failure()", "true");
        check(F::Yes, C::Yes, "cancelled() && !failure()", "true");
        check(F::No, C::No, "inputs.x", "");
    }
}
