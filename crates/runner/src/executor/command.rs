//! One thing to run in a sandbox, and how it ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Exit, Stop, Typist, Window};
use crate::guest;

/// One thing to run in a sandbox.
#[derive(Debug, Clone)]
pub struct Command {
    pub program: Program,
    /// The job's stage as GitLab calls it (`get_sources`, `step_script`, …), for executors that tell it on. Empty = the
    /// user's own script.
    pub stage: String,
    /// The job's environment, in order; the last of a name wins. The sandbox starts from an empty environment, adds
    /// what a program cannot do without (`PATH`, `HOME`, `TMPDIR`, …) where it is not given here, and passes
    /// nothing of the runner's own. Values may hold any text but NUL; a value too large for the kernel's argument
    /// area is exported by the shell itself.
    pub env: Vec<(String, String)>,
    /// Working directory inside the sandbox; absent = the project folder, made when it is missing.
    pub cwd: Option<String>,
    /// Time limit of this command. At its end the process tree is stopped as by [`Stop::graceful`].
    pub timeout: Option<Duration>,
    /// How long processes may take to end after SIGTERM before they are killed.
    pub grace: Duration,
    /// Ends the command early.
    pub stop: Stop,
}

impl Command {
    /// How long a process tree may take between SIGTERM and SIGKILL when nobody says otherwise.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// A script for `shell` with an empty environment, no time limit, and a stop that nobody pulls.
    #[must_use]
    pub fn script(shell: Shell, text: impl Into<String>) -> Self {
        Self::new(Program::Script {
            shell,
            text: text.into(),
        })
    }

    /// A request to the guest.
    #[must_use]
    pub fn guest(request: guest::Request) -> Self {
        Self::new(Program::Guest(Box::new(request)))
    }

    fn new(program: Program) -> Self {
        Self {
            program,
            stage: String::new(),
            env: Vec::new(),
            cwd: None,
            timeout: None,
            grace: Self::DEFAULT_GRACE,
            stop: Stop::new(),
        }
    }
}

/// What runs.
#[derive(Debug, Clone)]
pub enum Program {
    /// The text is put into a file of the sandbox and given to the shell: neither its size nor its bytes are limited
    /// by an argument list. Standard input is empty.
    Script { shell: Shell, text: String },
    /// `tasuki guest` inside the sandbox with this request as JSON on its standard input, or the same function
    /// in-process where the sandbox is this machine. What it prints for people goes to the output; the answer is
    /// [`Ended::response`].
    Guest(Box<guest::Request>),
}

/// One thing to run on a terminal of a sandbox ([`super::Sandbox::interact`]).
#[derive(Debug, Clone)]
pub struct Interactive {
    /// Program and arguments; empty = the shell, ready to be typed into.
    pub argv: Vec<String>,
    pub shell: Shell,
    /// Who types.
    pub typist: Typist,
    /// As [`Command::env`], with `TERM`.
    pub env: Vec<(String, String)>,
    /// Working directory inside the sandbox; absent = the project folder, made when it is missing.
    pub cwd: Option<String>,
    pub window: Window,
    /// Ends it early.
    pub stop: Stop,
}

/// The shell of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shell {
    pub kind: ShellKind,
    /// Whether it reads the login profile first (`/etc/profile`, `~/.profile`). Off: the environment is what was given.
    pub login: bool,
}

/// Which shell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShellKind {
    /// `bash`, or `sh` where there is none.
    #[default]
    Detect,
    Bash,
    Sh,
    Pwsh,
    /// Any other command line; `{0}` stands for the script's file and is appended where it is missing.
    Custom(Vec<String>),
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub exit: Exit,
    /// The guest's answer, where the program was one and it came to answer.
    pub response: Option<guest::Response>,
}
