//! A driver's place at work.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use tasuki_model::reason::FailureReason;

use super::driver::{BUILD_FAILURE, Call, Merged, fault, judge};
use super::place::Place;
use super::script::{ABSENT, ANSWER, FAILED, FILE, Head, LACKS, User};
use super::sift::Sift;
use crate::executor::shell::environment::{self, Environment};
use crate::executor::{
    Command, Discard, Ended, Error, Exit, Output, Paths, Program, PushedFile, Result, Sandbox, Shell, ShellKind, Stop,
};
use crate::guest::{self, confined};
use crate::process::Lingering;

const PREPARE: &str = "prepare_script";
const CLEANUP: &str = "cleanup_file_variables";
/// The name of GitLab's contract for the step `script`, and for what has no name of its own.
const BUILD: &str = "build_script";

pub(super) struct CustomSandbox {
    place: Place,
    paths: Paths,
    /// In place of the runner's own shell.
    shell: Option<ShellKind>,
    scripts: AtomicU64,
    /// Files that go with the next script.
    pending: Mutex<Vec<PushedFile>>,
    /// Background processes of scripts.
    lingering: Mutex<Vec<Lingering>>,
}

/// How a script ended, and what it answered.
struct Told {
    exit: Exit,
    answer: Option<(String, String)>,
}

impl CustomSandbox {
    pub(super) fn new(place: Place, paths: Paths) -> Result<Self> {
        Ok(Self {
            shell: place.described.shell()?,
            place,
            paths,
            scripts: AtomicU64::new(0),
            pending: Mutex::default(),
            lingering: Mutex::default(),
        })
    }

    /// Gives a script to `run_exec`.
    async fn script(
        &self,
        stage: &str,
        text: &str,
        mark: &str,
        command: &Command,
        output: &dyn Output,
    ) -> Result<Told> {
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        let name = format!("script.{number}.sh");
        let file = self.place.record.put(&name, 0o700, text.as_bytes())?;
        self.place.forget_exit_code();
        let step = &self.place.office.steps.run;
        let call = Call {
            step,
            further: vec![file.to_string_lossy().into_owned(), stage.to_owned()],
            env: self.place.environment(&command.env)?,
            timeout: command.timeout,
            stop: command.stop.clone(),
        };
        let sift = Sift::new(mark, output)?;
        let called = self.place.call(call, &sift).await;
        let answer = sift.finish().await;
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(file = %file.display(), %error, "a script that has run cannot be removed");
        }
        let (exit, left) = called?;
        self.lingering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(left);
        let what = || format!("{} ({stage})", step.name);
        let exit = match exit {
            Exit::Code(BUILD_FAILURE) => Exit::Code(self.place.exit_code()),
            Exit::Code(0) | Exit::Stopped | Exit::TimedOut => exit,
            Exit::Code(_) | Exit::Signal(_) => return Err(fault(&what(), exit)),
        };
        match &answer {
            Some((word, rest)) if word == FAILED => Err(Error::job(FailureReason::ScriptFailure, rest.clone())),
            Some((word, rest)) if word == LACKS => Err(Error::configuration(
                rest.clone(),
                "install it there: it does checkout, caches and artifacts",
            )),
            _ => Ok(Told { exit, answer }),
        }
    }

    fn head<'a>(&'a self, mark: &'a str, environment: &'a Environment) -> Head<'a> {
        Head {
            mark,
            paths: &self.paths,
            environment,
        }
    }

    /// Stage `prepare_script`, with the files that wait.
    async fn write_pending(&self, stop: Stop, output: &dyn Output) -> Result<()> {
        let files = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let (mark, environment) = (mark()?, nothing());
        let hostname = self.place.described.hostname.as_deref();
        let text = self.head(&mark, &environment).prepare(hostname, &files);
        let command = Command {
            stop,
            ..Command::script(Shell::default(), "")
        };
        let told = self.script(PREPARE, &text, &mark, &command, output).await?;
        judge(PREPARE, told.exit, None)
    }

    async fn flush(&self) -> Result<()> {
        let waits = !self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if waits {
            self.write_pending(Stop::new(), &Discard).await?;
        }
        Ok(())
    }

    async fn run_script(&self, command: &Command, shell: Shell, text: &str, output: &dyn Output) -> Result<Ended> {
        let environment = checked(&command.env)?;
        let folder = command
            .cwd
            .as_ref()
            .map_or_else(|| self.paths.project.clone(), |folder| self.paths.project.join(folder));
        let mark = mark()?;
        let text = self.head(&mark, &environment).user(&User {
            shell: &self.shell_for(shell),
            text,
            number: self.scripts.load(Ordering::Relaxed),
            folder: &folder,
        })?;
        let told = self.script(stage(command), &text, &mark, command, output).await?;
        Ok(Ended {
            exit: told.exit,
            response: None,
        })
    }

    /// The runner's own shell may be another one in this place.
    fn shell_for(&self, shell: Shell) -> Shell {
        match &self.shell {
            Some(kind) if shell.kind == self.place.office.settings.shell => Shell {
                kind: kind.clone(),
                ..shell
            },
            _ => shell,
        }
    }

    async fn run_guest(&self, command: &Command, request: &guest::Request, output: &dyn Output) -> Result<Ended> {
        let environment = checked(&command.env)?;
        let mark = mark()?;
        let beside = self.place.office.settings.binary.path();
        let text = self.head(&mark, &environment).guest(request, beside);
        let text = text.map_err(|error| Error::system("write the guest's request", error))?;
        let merged = Merged(output);
        let told = self.script(stage(command), &text, &mark, command, &merged).await?;
        let response: Option<guest::Response> = match &told.answer {
            Some((word, json)) if word == ANSWER => serde_json::from_str(json).ok(),
            _ => None,
        };
        let exit = match (told.exit, &response) {
            (Exit::Code(_), Some(response)) => Exit::Code(response.exit_code()),
            (exit, _) => exit,
        };
        Ok(Ended { exit, response })
    }

    /// A path of the workspace.
    fn locate(&self, path: &Path) -> Result<PathBuf> {
        let path = self.paths.temp.join(path);
        let inside = [&self.paths.temp, &self.paths.project].into_iter().find_map(|root| {
            let relative = confined::inside(path.strip_prefix(root).ok()?)?;
            (!relative.as_os_str().is_empty()).then(|| root.join(relative))
        });
        inside.ok_or_else(|| {
            let message = format!("{} is outside the workspace", path.display());
            Error::job(FailureReason::ScriptFailure, message)
        })
    }

    async fn end_background(&self) -> Result<()> {
        let left = std::mem::take(&mut *self.lingering.lock().unwrap_or_else(PoisonError::into_inner));
        let mut result = Ok(());
        for one in left {
            let ended = one.end().await;
            result = result.and(ended.map_err(|error| Error::system("end background processes", error)));
        }
        result
    }

    /// Stage `cleanup_file_variables`.
    async fn remove_files(&self) -> Result<()> {
        let (mark, environment) = (mark()?, nothing());
        let text = self.head(&mark, &environment).cleanup();
        let limit = self.place.office.steps.cleanup.as_ref().and_then(|step| step.timeout);
        let command = Command {
            timeout: limit,
            ..Command::script(Shell::default(), "")
        };
        let told = self.script(CLEANUP, &text, &mark, &command, &Discard).await?;
        judge(CLEANUP, told.exit, limit)
    }
}

fn stage(command: &Command) -> &str {
    match command.stage.as_str() {
        "" | "step_script" => BUILD,
        other => other,
    }
}

fn nothing() -> Environment {
    Environment {
        passed: Vec::new(),
        exported: Vec::new(),
    }
}

fn checked(variables: &[(String, String)]) -> Result<Environment> {
    let mut all = std::collections::BTreeMap::new();
    environment::add(&mut all, variables)?;
    Ok(environment::split(all))
}

/// A mark that no output holds by chance.
fn mark() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| Error::system("get random numbers", error))?;
    Ok(format!("tasuki-{:032x} ", u128::from_le_bytes(random)))
}

#[async_trait]
impl Sandbox for CustomSandbox {
    fn paths(&self) -> &Paths {
        &self.paths
    }

    async fn settle(&self, stop: Stop, output: &dyn Output) -> Result<()> {
        self.write_pending(stop, output).await
    }

    async fn run(&self, mut command: Command, output: &dyn Output) -> Result<Ended> {
        if command.stop.is_pulled() {
            return Err(Error::Stopped);
        }
        self.flush().await?;
        let empty = Program::Script {
            shell: Shell::default(),
            text: String::new(),
        };
        match std::mem::replace(&mut command.program, empty) {
            Program::Script { shell, text } => self.run_script(&command, shell, &text, output).await,
            Program::Guest(request) => self.run_guest(&command, &request, output).await,
        }
    }

    async fn push(&self, file: PushedFile) -> Result<()> {
        let path = self.locate(&file.path)?;
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push(PushedFile { path, ..file });
        Ok(())
    }

    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let path = self.locate(Path::new(path))?;
        self.flush().await?;
        let (mark, environment) = (mark()?, nothing());
        let text = self.head(&mark, &environment).read(&path, limit);
        let command = Command::script(Shell::default(), "");
        let told = self.script(BUILD, &text, &mark, &command, &Discard).await?;
        match told.answer {
            Some((word, _)) if word == ABSENT => Ok(None),
            Some((word, base64)) if word == FILE => {
                let bytes = BASE64_STANDARD.decode(base64);
                let bytes = bytes.map_err(|error| Error::system(format!("read {}", path.display()), error))?;
                Ok(Some(bytes.into()))
            }
            _ => Err(Error::system(
                format!("read {}", path.display()),
                "the driver lost the script's answer",
            )),
        }
    }

    async fn teardown(self: Box<Self>) -> Result<()> {
        let ended = self.end_background().await;
        let removed = self.remove_files().await;
        let left = self.end_background().await;
        let closed = self.place.close().await;
        ended.and(removed).and(left).and(closed)
    }
}
