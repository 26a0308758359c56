//! Which contexts and functions each key has.

use tasuki_model::expr::syntax::Names;

/// Functions that ask how the work went so far.
const STATUS: &[&str] = &["success", "failure", "always", "cancelled"];
const STATUS_AND_FILES: &[&str] = &["success", "failure", "always", "cancelled", "hashFiles"];
const FILES: &[&str] = &["hashFiles"];

const fn names(contexts: &'static [&'static str], functions: &'static [&'static str]) -> Names<'static> {
    Names { contexts, functions }
}

/// `run-name`, workflow `concurrency`, defaults of inputs of reusable workflows.
pub(super) const WORKFLOW: Names<'static> = names(&["github", "inputs", "vars"], &[]);
pub(super) const WORKFLOW_ENV: Names<'static> = names(&["github", "secrets", "inputs", "vars"], &[]);
pub(super) const WORKFLOW_OUTPUT: Names<'static> = names(&["github", "jobs", "vars", "inputs"], &[]);
pub(super) const JOB_IF: Names<'static> = names(&["github", "needs", "vars", "inputs"], STATUS);
pub(super) const STRATEGY: Names<'static> = names(&["github", "needs", "vars", "inputs"], &[]);
/// `name`, `runs-on`, `concurrency`, `container`, `environment`, `timeout-minutes`, `continue-on-error`, `with` of a call.
pub(super) const JOB: Names<'static> = names(&["github", "needs", "strategy", "matrix", "vars", "inputs"], &[]);
/// `env` and `secrets` of a job.
pub(super) const JOB_ENV: Names<'static> = names(
    &["github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"],
    &[],
);
pub(super) const DEFAULTS_RUN: Names<'static> =
    names(&["github", "needs", "strategy", "matrix", "env", "vars", "inputs"], &[]);
pub(super) const CREDENTIALS: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "env", "vars", "secrets", "inputs",
    ],
    &[],
);
/// `env` of the job's container and of services.
pub(super) const CONTAINER_ENV: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "inputs",
    ],
    &[],
);
pub(super) const ENVIRONMENT_URL: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "steps", "inputs",
    ],
    &[],
);
pub(super) const JOB_OUTPUT: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps", "inputs",
    ],
    &[],
);
pub(super) const STEP: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps", "inputs",
    ],
    FILES,
);
pub(super) const STEP_IF: Names<'static> = names(
    &[
        "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "steps", "inputs",
    ],
    STATUS_AND_FILES,
);
/// The body of a composite action: it cannot read secrets.
pub(super) const ACTION_STEP: Names<'static> = names(
    &[
        "github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env",
    ],
    FILES,
);
pub(super) const ACTION_IF: Names<'static> = names(
    &[
        "github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env",
    ],
    STATUS_AND_FILES,
);
pub(super) const ACTION_OUTPUT: Names<'static> = names(
    &[
        "github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env",
    ],
    &[],
);
pub(super) const ACTION_DEFAULT: Names<'static> = names(&["github", "strategy", "matrix", "job", "runner"], FILES);
