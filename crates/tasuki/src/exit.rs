//! How a command ends, and the one place that prints why it failed.

use std::error::Error as StdError;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use tasuki_proto::client::ApiError;

use crate::print::Style;

/// Exit codes, the same for every command; the later ones are the worse ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Success,
    /// The pipeline or job failed, or the configuration has errors: the user's fault.
    Failed,
    /// Wrong usage or configuration of tasuki itself.
    Usage,
    /// Ours, the network's, the machine's.
    System,
    Interrupted,
    /// A command that stands for another program (`runner`) passes its code on.
    Other(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::System => 3,
            Exit::Interrupted => 130,
            Exit::Other(code) => code,
        })
    }
}

/// How a command ends: an exit code, or an error for [`report`].
pub(crate) type Outcome = anyhow::Result<Exit>;

/// An error with an exit code of its own, or with advice.
#[derive(Debug)]
struct Marked {
    error: Box<dyn StdError + Send + Sync>,
    exit: Option<Exit>,
    hint: Option<String>,
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for Marked {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// Adds to an error what [`report`] needs to know.
pub(crate) trait Mark<T> {
    /// Wrong usage or configuration: exit code 2.
    fn usage(self) -> anyhow::Result<T>;
    /// What to do about it.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Mark<T> for Result<T, E> {
    fn usage(self) -> anyhow::Result<T> {
        self.map_err(|error| mark(error.into(), Some(Exit::Usage), None))
    }

    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| mark(error.into(), None, Some(hint.into())))
    }
}

fn mark(error: anyhow::Error, exit: Option<Exit>, hint: Option<String>) -> anyhow::Error {
    match error.downcast::<Marked>() {
        Ok(known) => Marked {
            error: known.error,
            exit: known.exit.or(exit),
            hint: known.hint.or(hint),
        }
        .into(),
        Err(error) => Marked {
            // As what it is, so that its type can still be asked for.
            error: error.reallocate_into_boxed_dyn_error_without_backtrace(),
            exit,
            hint,
        }
        .into(),
    }
}

/// Wrong usage, told in one sentence.
pub(crate) fn wrong_usage(message: impl fmt::Display) -> anyhow::Error {
    mark(anyhow::anyhow!("{message}"), Some(Exit::Usage), None)
}

/// Prints an error with its causes and advice to standard error; gives the exit code that goes with it.
pub(crate) fn report(error: &anyhow::Error, style: Style) -> Exit {
    let mut out = std::io::stderr().lock();
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(out, "{} {error}", style.red("error:"));
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if text != last {
            let _ = writeln!(out, "  {} {text}", style.dim("because:"));
        }
        last = text;
    }
    if let Some(hint) = hint(error) {
        let _ = writeln!(out, "  {} {hint}", style.bold("hint:"));
    }
    exit_of(error)
}

fn find<T: StdError + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| cause.downcast_ref::<T>())
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(exit) = find::<Marked>(error).and_then(|marked| marked.exit) {
        return exit;
    }
    match api(error) {
        Some(ApiError::Problem(problem)) if matches!(problem.status, 400..=499) && problem.status != 429 => Exit::Usage,
        Some(ApiError::Problem(_) | ApiError::Status { .. } | ApiError::Network { .. }) => Exit::System,
        Some(ApiError::Client(_)) => Exit::Usage,
        Some(ApiError::Decode(_)) | None => Exit::System,
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(hint) = find::<Marked>(error).and_then(|marked| marked.hint.clone()) {
        return Some(hint);
    }
    match api(error)? {
        ApiError::Network { .. } => {
            Some("is the server running? Start one with `tasuki up`, or name another with TASUKI_URL".to_owned())
        }
        ApiError::Problem(problem) if problem.status == 401 => {
            Some("set TASUKI_TOKEN, or run the command as the user who owns the data folder".to_owned())
        }
        ApiError::Problem(problem) => {
            let fields = problem
                .errors
                .iter()
                .map(|wrong| format!("{}: {}", wrong.field, wrong.message));
            let found = problem.diagnostics.iter().filter_map(|d| {
                // What the message says already is not said again.
                let told = problem
                    .detail
                    .as_ref()
                    .is_some_and(|detail| detail.contains(&d.message));
                let text = format!("{}:{}:{}: {}", d.file, d.line, d.column, d.message);
                match (&d.hint, told) {
                    (Some(hint), true) => Some(hint.clone()),
                    (Some(hint), false) => Some(format!("{text}; {hint}")),
                    (None, true) => None,
                    (None, false) => Some(text),
                }
            });
            let all: Vec<_> = fields.chain(found).collect();
            (!all.is_empty()).then(|| all.join("\n        "))
        }
        ApiError::Status { .. } | ApiError::Decode(_) | ApiError::Client(_) => None,
    }
}

/// [`Marked`] keeps its error out of the chain of sources, so it is looked into.
fn api(error: &anyhow::Error) -> Option<&ApiError> {
    find::<ApiError>(error).or_else(|| find::<Marked>(error)?.error.downcast_ref::<ApiError>())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tasuki_proto::rest::Problem;

    use super::*;

    #[test]
    fn marks_survive_contexts_and_each_other() {
        let check = |error: anyhow::Error, exit: Exit, expected: Option<&str>| {
            assert_eq!(
                (exit_of(&error), hint(&error).as_deref()),
                (exit, expected),
                "{error:#}"
            );
        };
        let io = || Err::<(), _>(std::io::Error::other("disk"));
        check(io().context("cannot save").unwrap_err(), Exit::System, None);
        check(io().usage().context("outer").unwrap_err(), Exit::Usage, None);
        check(
            io().hint("clean up").usage().context("outer").unwrap_err(),
            Exit::Usage,
            Some("clean up"),
        );
        let refused = |status| ApiError::Problem(Box::new(Problem::new(status, "x", "y")));
        check(
            Err::<(), _>(refused(404)).context("cannot show").unwrap_err(),
            Exit::Usage,
            None,
        );
        check(refused(503).into(), Exit::System, None);
        check(
            Err::<(), _>(refused(404)).hint("look").unwrap_err(),
            Exit::Usage,
            Some("look"),
        );
    }
}
