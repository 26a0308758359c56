//! Steps → steps of the Plan.

use tasuki_model::expr::BinaryOp::And;
use tasuki_model::expr::{Expr, Literal, Value};
use tasuki_model::plan::{self, Late, StepWhen, seconds};

use super::super::entry::{Step, StepKind, Uses};
use super::super::fields::Field;
use super::super::fold;
use super::scope::{Scope, binary, text};
use super::workflow::Maker;
use crate::Session;
use crate::diag::{Problem, code};

/// Steps that run at a time in the background.
const MOST_BACKGROUND: usize = 10;

/// What the steps of one list share.
pub(super) struct Frame<'f> {
    pub(super) scope: &'f Scope<'f>,
    /// Defaults of `run` steps.
    pub(super) shell: Option<&'f Field>,
    pub(super) directory: Option<&'f Field>,
    /// The job's environment, as far as it is known only later.
    pub(super) env: &'f [(String, Expr)],
    pub(super) in_container: bool,
    /// Actions within actions.
    pub(super) depth: usize,
}

impl Maker<'_, '_> {
    /// Makes the steps of a job or of an action.
    pub(super) fn steps(&mut self, steps: &[Step], frame: &Frame<'_>) -> Vec<plan::Step> {
        let mut made = Vec::with_capacity(steps.len());
        for step in steps {
            match &step.kind {
                StepKind::Parallel(inner) => {
                    if inner.len() > MOST_BACKGROUND {
                        let message = format!("`parallel` has {} steps: there may be {MOST_BACKGROUND}", inner.len());
                        self.session.error(&code::GITHUB_TOO_MANY, step.span, message);
                    }
                    self.background(step.span);
                    for inner in inner {
                        made.extend(self.step(inner, frame));
                    }
                }
                StepKind::Wait(_) | StepKind::Cancel(_) => self.background(step.span),
                StepKind::Run { .. } | StepKind::Uses { .. } => {
                    if step.is_background {
                        self.background(step.span);
                    }
                    made.extend(self.step(step, frame));
                }
            }
        }
        made
    }

    fn background(&self, span: crate::yaml::Span) {
        let message = "steps in the background (`background`, `parallel`, `wait`, `cancel`) are not supported yet";
        self.session
            .report(Problem::new(&code::UNSUPPORTED, span, message).hint("start it with `&` in a `run` step"));
    }

    fn step(&mut self, step: &Step, frame: &Frame<'_>) -> Option<plan::Step> {
        let session = self.session;
        let mut late = Late {
            env: frame.env.to_vec(),
            ..Late::default()
        };
        let (kind, title) = match &step.kind {
            StepKind::Run {
                script,
                shell,
                directory,
            } => {
                let shell = shell.as_ref().or(frame.shell);
                let directory = directory.as_ref().or(frame.directory);
                run(session, step, (script, shell, directory), frame, &mut late)?
            }
            StepKind::Uses { uses, with } => match uses {
                Uses::Checkout => (
                    checkout(session, with, frame, step.span)?,
                    "Run actions/checkout".to_owned(),
                ),
                Uses::Local { path, span } => (self.action(path, *span, with, frame)?, format!("Run ./{path}")),
                Uses::Image { name, span } => (self.image(name, *span, with, frame), format!("Run docker://{name}")),
                Uses::Unknown => return None,
            },
            StepKind::Wait(_) | StepKind::Cancel(_) | StepKind::Parallel(_) => return None,
        };
        let mut made = plan::Step::new(kind);
        made.name = title;
        made.id.clone_from(&step.id);
        if let Some(field) = &step.name {
            let folded = frame.scope.fold(session, field);
            match fold::known_text(&folded) {
                Some(value) => made.name = value,
                None => late.name = Some(folded),
            }
        }
        for (key, expr) in frame.scope.entries(session, &step.env, "`env`") {
            late.env.retain(|(known, _)| *known != key);
            match fold::known_text(&expr) {
                Some(value) => drop(made.env.insert(key, value)),
                None => late.env.push((key, expr)),
            }
        }
        limits(session, step, frame, &mut made, &mut late);
        if let Some(field) = &step.condition {
            (made.when, made.condition) = condition(session, field, frame.scope);
        }
        made.late = (!late.is_empty()).then(|| Box::new(late));
        Some(made)
    }
}

fn limits(session: &Session<'_>, step: &Step, frame: &Frame<'_>, made: &mut plan::Step, late: &mut Late) {
    if let Some(field) = &step.continue_on_error {
        let folded = frame.scope.fold(session, field);
        match fold::known(&folded) {
            Some(value) => made.continue_on_error = value.is_truthy(),
            None => late.continue_on_error = Some(folded),
        }
    }
    if let Some(field) = &step.timeout {
        let folded = frame.scope.fold(session, field);
        match fold::known(&folded) {
            Some(value) => {
                made.timeout_s = seconds(value.to_number());
                if made.timeout_s.is_none() {
                    let message = "`timeout-minutes` must be a number above zero";
                    session.error(&code::GITHUB_VALUE, field.span, message);
                }
            }
            None => late.timeout_minutes = Some(folded),
        }
    }
}

/// When a step runs: without a question how the work went it is due only after success.
pub(super) fn condition(session: &Session<'_>, field: &Field, scope: &Scope<'_>) -> (StepWhen, Option<Expr>) {
    let folded = scope.fold(session, field);
    if fold::asks_status(&field.expr) {
        let always = matches!(&folded, Expr::Call { function, .. } if function == "always");
        return (StepWhen::Always, (!always).then_some(folded));
    }
    match fold::known(&folded) {
        Some(value) if value.is_truthy() => (StepWhen::OnSuccess, None),
        Some(_) => (StepWhen::OnSuccess, Some(Expr::Literal(Literal::Bool(false)))),
        None => (StepWhen::OnSuccess, Some(folded)),
    }
}

/// The condition of what runs after the job; nothing of it is asked where it is always.
pub(super) fn post_condition(session: &Session<'_>, field: &Field, scope: &Scope<'_>) -> Option<Expr> {
    match condition(session, field, scope) {
        (StepWhen::Always, condition) => condition,
        (_, Some(condition)) => Some(binary(And, super::scope::call("success", &[]), condition)),
        (_, None) => Some(super::scope::call("success", &[])),
    }
}

/// How a shell is called, and what stands around the script.
struct Shell {
    line: String,
    before: &'static str,
    after: &'static str,
}

const PWSH_BEFORE: &str = "$ErrorActionPreference = 'stop'\n";
const PWSH_AFTER: &str = "\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }\n";

fn shell(name: Option<&str>, in_container: bool) -> Result<Shell, String> {
    let plain = |line: &str| {
        Ok(Shell {
            line: line.to_owned(),
            before: "",
            after: "",
        })
    };
    // The words are read without case, command lines as they are written.
    let word = name.map(|name| name.trim().to_ascii_lowercase());
    match word.as_deref() {
        None if in_container => plain("sh -e {0}"),
        // Where there is no bash, sh does it.
        None => plain(
            "sh -c 'if command -v bash >/dev/null 2>&1; then exec bash -e \"$0\"; else exec sh -e \"$0\"; fi' {0}",
        ),
        Some("bash") => plain("bash --noprofile --norc -e -o pipefail {0}"),
        Some("sh") => plain("sh -e {0}"),
        Some("python") => plain("python3 {0}"),
        Some("pwsh") => Ok(Shell {
            // A script is only taken by a name that ends in `.ps1`.
            line: "pwsh -NoLogo -Command \"& ([scriptblock]::Create((Get-Content -Raw -LiteralPath '{0}')))\""
                .to_owned(),
            before: PWSH_BEFORE,
            after: PWSH_AFTER,
        }),
        Some("powershell") => Ok(Shell {
            line: "powershell -NoLogo -Command \"& ([scriptblock]::Create((Get-Content -Raw -LiteralPath '{0}')))\""
                .to_owned(),
            before: PWSH_BEFORE,
            after: PWSH_AFTER,
        }),
        Some("cmd") => plain("cmd /D /E:ON /V:OFF /S /C \"CALL \"{0}\"\""),
        Some(_) => match name.map(str::trim).unwrap_or_default() {
            line if line.contains("{0}") => plain(line),
            line => Err(format!(
                "`{line}` is no shell: it is one of bash, sh, pwsh, python, or a command line with `{{0}}` for the script"
            )),
        },
    }
}

fn run(
    session: &Session<'_>,
    step: &Step,
    (script, shell_field, directory): (&Field, Option<&Field>, Option<&Field>),
    frame: &Frame<'_>,
    late: &mut Late,
) -> Option<(plan::StepKind, String)> {
    let name = match shell_field {
        Some(field) => Some(frame.scope.text(session, field, "`shell`")?),
        None => None,
    };
    let is_for_windows = |name: &&str| ["cmd", "powershell"].iter().any(|word| name.eq_ignore_ascii_case(word));
    if let Some(word) = name.as_deref().map(str::trim).filter(is_for_windows) {
        let span = shell_field.map_or(step.span, |field| field.span);
        let message = format!("`{word}` is a shell of Windows, and tasuki's runners work on Linux");
        session.error(&code::GITHUB_SHELL, span, message);
    }
    let shell = match shell(name.as_deref(), frame.in_container) {
        Ok(shell) => shell,
        Err(problem) => {
            let span = shell_field.map_or(step.span, |field| field.span);
            session.error(&code::GITHUB_VALUE, span, problem);
            return None;
        }
    };
    let folded = frame.scope.fold(session, script);
    let (command, first) = match fold::known_text(&folded) {
        Some(script) => {
            let first = first_line(&script);
            let plain = shell.before.is_empty() && shell.after.is_empty();
            let command = if plain {
                script
            } else {
                format!("{}{script}{}", shell.before, shell.after)
            };
            (command, first)
        }
        None => {
            let command = if shell.before.is_empty() {
                folded
            } else {
                Expr::Concat(vec![text(shell.before), folded, text(shell.after)])
            };
            late.command = Some(command);
            (String::new(), first_line(&as_written(&script.expr)))
        }
    };
    let mut folder = None;
    if let Some(field) = directory {
        let folded = frame.scope.fold(session, field);
        match fold::known(&folded) {
            Some(Value::Null) => {}
            Some(value) => folder = Some(value.to_text().to_string()).filter(|folder| !folder.is_empty()),
            None => late.directory = Some(folded),
        }
    }
    let kind = plan::StepKind::Run {
        command,
        lines: Vec::new(),
        shell: Some(shell.line),
        directory: folder,
    };
    Some((kind, format!("Run {first}")))
}

/// The text of a script whose expressions are not known yet, for the step's title.
fn as_written(script: &Expr) -> String {
    match script {
        Expr::Concat(parts) => parts.iter().map(as_written).collect(),
        Expr::Literal(Literal::Text(text)) => text.clone(),
        _ => "${{ … }}".to_owned(),
    }
}

fn first_line(script: &str) -> String {
    script
        .trim_start()
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

/// Inputs of `actions/checkout` whose values have no effect here: the runner's own credentials are used, and never
/// stay in the folder.
const CHECKOUT_WITHOUT_EFFECT: [&str; 6] = [
    "persist-credentials",
    "token",
    "show-progress",
    "set-safe-directory",
    "clean",
    "github-server-url",
];

/// Inputs that ask for a part of the commit: the whole is checked out, with a warning.
const CHECKOUT_IN_PART: [&str; 3] = ["sparse-checkout", "sparse-checkout-cone-mode", "filter"];

/// `actions/checkout` of the project itself.
fn checkout(
    session: &Session<'_>,
    with: &[super::super::fields::Entry],
    frame: &Frame<'_>,
    span: crate::yaml::Span,
) -> Option<plan::StepKind> {
    let (mut path, mut depth) = (None, Some(1));
    for (key, expr) in frame.scope.entries(session, with, "`with`") {
        let name = key.to_ascii_lowercase();
        if CHECKOUT_WITHOUT_EFFECT.contains(&name.as_str()) {
            continue;
        }
        if CHECKOUT_IN_PART.contains(&name.as_str()) {
            let message = format!("`{key}` of actions/checkout has no effect: the whole commit is checked out");
            session.error(&code::GITHUB_ACTION, span, message);
            continue;
        }
        let value = fold::known(&expr).map(|value| value.to_text().to_string());
        let refused = |what: &str, hint: &str| {
            let message = format!("`{key}` of actions/checkout: {what}");
            session.report(Problem::new(&code::UNSUPPORTED, span, message).hint(hint));
        };
        let Some(value) = value else {
            refused(
                "it must be known when the pipeline starts",
                "write it out, or use `git` in a `run` step",
            );
            return None;
        };
        let own = |path: &str| Value::text(value.as_str()).to_text().eq_ignore_ascii_case(path);
        let context = &session.input.context;
        match name.as_str() {
            "path" => path = Some(value).filter(|path| !path.is_empty()),
            "fetch-depth" => match value.parse::<u32>() {
                Ok(n) => depth = Some(n),
                Err(_) => {
                    session.error(
                        &code::GITHUB_VALUE,
                        span,
                        format!("`fetch-depth` must be a number, not `{value}`"),
                    );
                }
            },
            "repository" if value.is_empty() || own(&context.project.path) => {}
            "repository" => refused(
                "only the project itself can be checked out",
                "use `git clone` in a `run` step",
            ),
            "ref"
                if value.is_empty()
                    || value == context.trigger.commit.sha
                    || own(&super::event::refs(&context.trigger).0) => {}
            "ref" => refused(
                "only the commit that is built can be checked out",
                "use `git fetch` in a `run` step",
            ),
            "submodules" | "lfs" | "fetch-tags" if matches!(value.as_str(), "" | "false") => {}
            _ => refused("it is not supported", "leave it out, or use `git` in a `run` step"),
        }
    }
    Some(plan::StepKind::Checkout {
        path,
        depth,
        method: None,
    })
}
