//! The steps of a job, one after the other.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tasuki_model::plan::{Step, StepKind, StepWhen};

use super::files::{Checkout, Restore, Save};
use super::title;
use crate::executor::{PushedFile, Sandbox};
use crate::guest::StoredAs;
use crate::job::build::Build;
use crate::job::failure::Failure;
use crate::job::stage::Stage;

/// A job ends early, and well, when this file is there after a step (`circleci-agent step halt`).
const HALT: &str = ".halt";
/// Folder of the tools that steps may call.
const TOOLS: &str = ".tools";

/// Steps that run beside the others: what each is called, and how it ended.
type Background<'b> = FuturesUnordered<BoxFuture<'b, (String, Result<(), Failure>)>>;

/// What is known between two steps.
struct State {
    result: Result<(), Failure>,
    halted: bool,
}

impl State {
    fn due(&self, when: StepWhen) -> bool {
        match when {
            StepWhen::Always => true,
            StepWhen::OnSuccess => self.result.is_ok(),
            StepWhen::OnFailure => self.result.is_err(),
        }
    }
}

impl Build<'_> {
    /// Runs the typed steps. The first failure that is not allowed is the job's; later steps run as their `when` says.
    pub(in crate::job) async fn typed_steps(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let steps = self.job.tasuki.as_ref().map_or(&[][..], |tasuki| &tasuki.steps);
        let tools = self.push_tools(sandbox).await?;
        let mut background = Background::new();
        let mut state = State {
            result: Ok(()),
            halted: false,
        };
        for (index, step) in steps.iter().enumerate() {
            if self.control.cause().is_some() || state.halted {
                break;
            }
            if !state.due(step.when) {
                continue;
            }
            let stage = Stage::Typed {
                index: index + 1,
                title: title(step),
            };
            self.console.open(&stage);
            if step.background {
                self.console.line("This step runs in the background");
                let running = async move { (title(step), self.one_step(sandbox, step, index).await) };
                background.push(Box::pin(running));
            } else {
                let ended = beside(self.one_step(sandbox, step, index), &mut background, |name, ended| {
                    self.background_ended(name, ended);
                });
                let ended = ended.await;
                match ended {
                    Err(failure) if step.continue_on_error && failure.exit_code.is_some() => {
                        self.console.warn(&format!("{failure}, which is allowed"));
                    }
                    Err(failure) => {
                        self.console.error(&format!("ERROR: {failure}"));
                        state.result = state.result.and(Err(failure));
                    }
                    Ok(()) => {}
                }
            }
            self.console.close(&stage);
            state.halted = tools && sandbox.pull(&self.temp(sandbox, HALT), 16).await?.is_some();
        }
        if state.halted {
            self.console.line("The job was halted by one of its steps");
        }
        // Background steps that still run end with the job.
        drop(background);
        match self.control.cause() {
            Some(_) => state.result.and_then(|()| Err(self.control.failure())),
            None => state.result,
        }
    }

    fn background_ended(&self, name: &str, ended: &Result<(), Failure>) {
        if let Err(failure) = ended {
            self.console.warn(&format!("background step {name:?}: {failure}"));
        }
    }

    pub(super) async fn one_step(&self, sandbox: &dyn Sandbox, step: &Step, index: usize) -> Result<(), Failure> {
        match &step.kind {
            StepKind::Run { .. } => self.run_step(sandbox, step).await,
            StepKind::Checkout { path, depth, method } => {
                let what = Checkout {
                    path: path.as_deref(),
                    depth: *depth,
                    method: method.as_deref(),
                };
                self.checkout_step(sandbox, what).await
            }
            StepKind::RestoreCache {
                keys, prefix, template, ..
            } => {
                let what = Restore {
                    keys,
                    prefix: *prefix,
                    template: *template,
                };
                self.restore_step(sandbox, what).await.map(drop)
            }
            StepKind::SaveCache {
                key,
                paths,
                immutable,
                template,
            } => {
                let what = Save {
                    key,
                    paths,
                    immutable: *immutable,
                    template: *template,
                };
                self.save_step(sandbox, what).await
            }
            StepKind::PersistWorkspace { root, paths } => self.persist_step(sandbox, root, paths, index).await,
            StepKind::AttachWorkspace { at } => self.attach_step(sandbox, at).await,
            StepKind::StoreArtifacts {
                path: Some(path),
                destination,
                ..
            } => {
                let name = destination.as_deref().unwrap_or(path).trim_matches(['/', '~', '.']);
                let name = if name.is_empty() { "artifacts" } else { name };
                self.store_step(sandbox, path, name, StoredAs::Artifact).await
            }
            StepKind::StoreTestResults { path } => {
                let name = format!("junit-{index:04}");
                self.store_step(sandbox, path, &name, StoredAs::TestResults).await
            }
            StepKind::StoreArtifacts { path: None, .. }
            | StepKind::AddSshKeys { .. }
            | StepKind::SetupRemoteDocker { .. }
            | StepKind::Action { .. }
            | StepKind::Composite { .. }
            | StepKind::Node { .. }
            | StepKind::Container { .. }
            | StepKind::Native { .. }
            | StepKind::Wait { .. } => Err(Failure::system(
                super::unsupported(step, super::Speaks::No).unwrap_or_else(|| "this step cannot be run".to_owned()),
            )),
        }
    }

    /// A path in the folder beside the source.
    fn temp(&self, sandbox: &dyn Sandbox, name: &str) -> String {
        sandbox.paths().temp.join(name).to_string_lossy().into_owned()
    }

    /// Where the job's `BASH_ENV` lies in its temporary folder: that file, and the commands that it puts into `PATH`.
    /// Gives whether they are there.
    async fn push_tools(&self, sandbox: &dyn Sandbox) -> Result<bool, Failure> {
        let bash_env = PathBuf::from(self.variables.value("BASH_ENV"));
        if !bash_env.starts_with(&sandbox.paths().temp) {
            return Ok(false);
        }
        let folder = self.temp(sandbox, TOOLS);
        let path = format!("case \":$PATH:\" in *\":{folder}:\"*) ;; *) export PATH=\"{folder}:$PATH\" ;; esac\n");
        let halt = self.temp(sandbox, HALT);
        let agent = format!(
            "#!/bin/sh\ncase \"$1 $2\" in\n'step halt') : > '{halt}' ;;\n*) echo \"$0: only 'step halt' is known\" >&2; exit 2 ;;\nesac\n"
        );
        let file = |path: PathBuf, mode: u32, text: &str| PushedFile {
            path,
            mode,
            bytes: Bytes::copy_from_slice(text.as_bytes()),
        };
        sandbox.push(file(bash_env, 0o600, &path)).await?;
        let agent = file(PathBuf::from(&folder).join("circleci-agent"), 0o700, &agent);
        sandbox.push(agent).await?;
        Ok(true)
    }
}

/// Runs `work` to its end, and what is in the background meanwhile.
async fn beside<T>(
    work: impl Future<Output = T>,
    background: &mut Background<'_>,
    mut ended: impl FnMut(&str, &Result<(), Failure>),
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some((name, result)) = background.next(), if !background.is_empty() => ended(&name, &result),
        }
    }
}
