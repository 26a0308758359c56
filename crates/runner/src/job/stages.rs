//! The single stages: source, caches, artifacts, scripts.

use std::time::Duration;

use bytes::Bytes;
use tasuki_model::reason::FailureReason;
use tasuki_proto::gitlab::{Step, When};

use super::build::Build;
use super::cache_store::cache_problem;
use super::command::Limit;
use super::failure::Failure;
use super::options::duration;
use super::requests::{CacheRequest, Source};
use super::scripts;
use super::stage::Stage;
use super::variables::truth;
use crate::executor::{PushedFile, Sandbox};
use crate::guest;

/// Time limit of `after_script` where `RUNNER_AFTER_SCRIPT_TIMEOUT` is not set.
const AFTER_SCRIPT: Duration = Duration::from_secs(5 * 60);

impl Build<'_> {
    /// Stage `prepare_script`: the file variables.
    pub(super) async fn prepare_script(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let stage = Stage::PrepareScript;
        self.console.open(&stage);
        if self.host.executor.kind() != "custom" {
            self.console.line(&format!("Running on {}...", hostname()));
        }
        let mut result = Ok(());
        for (path, content) in self.variables.file_contents() {
            let file = PushedFile {
                path,
                mode: 0o600,
                bytes: Bytes::from(content.into_bytes()),
            };
            result = sandbox.push(file).await.map_err(Failure::from);
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            let output = self.console.work();
            result = sandbox.settle(self.control.all(), &output).await.map_err(Failure::from);
            output.finish();
        }
        self.console.close(&stage);
        if self.control.is_over() {
            Err(self.control.failure())
        } else {
            result
        }
    }

    pub(super) async fn get_sources(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let stage = Stage::GetSources;
        let source = self.source(sandbox.paths());
        let (strategy, warning) = source.strategy();
        let limit = Limit::of(self.host.config.get_sources_timeout.map(|limit| limit.0));
        let request = self.sources_request(&source)?;
        let most = self.attempts("GET_SOURCES_ATTEMPTS");
        let mut backoff = self.backoff();
        let mut tries = 1;
        loop {
            self.console.open(&stage);
            if let Some(warning) = &warning {
                self.console.warn(warning);
            }
            if strategy == guest::Strategy::None {
                self.console.line("Skipping Git repository setup");
            }
            let result = self.sources_once(sandbox, request.clone(), &limit).await;
            self.console.close(&stage);
            match result {
                Err(failure) if self.tries_again(tries, most, &failure) => {
                    self.console
                        .warn(&format!("attempt {tries} of {most} failed: {failure}"));
                    if tries == 1 && strategy != guest::Strategy::None {
                        self.clear_worktree(sandbox).await?;
                    }
                    tries += 1;
                    self.pause(backoff.pause()).await;
                }
                other => return other,
            }
        }
    }

    pub(super) fn sources_request(&self, source: &Source<'_>) -> Result<guest::Request, Failure> {
        let snapshot = self.job.tasuki.as_ref().and_then(|tasuki| tasuki.source.as_ref());
        match snapshot {
            Some(snapshot) if self.host.trusts_snapshots => Ok(source.snapshot(&snapshot.path)),
            Some(_) => Err(Failure::system(
                "the server names a folder of its own machine as source, and this runner does not trust it to",
            )),
            None => Ok(source.checkout()),
        }
    }

    /// Hooks, checkout, hooks.
    pub(super) async fn sources_once(
        &self,
        sandbox: &dyn Sandbox,
        request: guest::Request,
        limit: &Limit,
    ) -> Result<(), Failure> {
        self.hook(
            sandbox,
            "pre_get_sources_script",
            &self.host.config.pre_get_sources_script,
        )
        .await?;
        self.guest(sandbox, request, limit, "get_sources").await?;
        self.hook(
            sandbox,
            "post_get_sources_script",
            &self.host.config.post_get_sources_script,
        )
        .await
    }

    pub(super) async fn hook(&self, sandbox: &dyn Sandbox, name: &str, own: &str) -> Result<(), Failure> {
        let of_job = self
            .job
            .hooks
            .iter()
            .filter(|hook| hook.name == name)
            .flat_map(|hook| hook.script.iter().cloned());
        let own = (!own.is_empty()).then(|| own.to_owned());
        let lines: Vec<String> = own.into_iter().chain(of_job).collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.script(sandbox, &Stage::GetSources, &lines, self.control.all(), &Limit::Job)
            .await
    }

    pub(super) async fn clear_worktree(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let request = guest::Request::ClearWorktree(guest::ClearWorktree {
            project: sandbox.paths().project.clone(),
        });
        let stage = Stage::ClearWorktree;
        self.console.open(&stage);
        let result = self.guest(sandbox, request, &Limit::Job, "clear_worktree").await;
        self.console.close(&stage);
        result.map(drop)
    }

    /// Stage `restore_cache`: what cannot be restored is only warned of.
    pub(super) async fn restore_caches(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let problem = self.store_problem(sandbox).await;
        let caches = self.source(sandbox.paths()).restores();
        self.caches(
            sandbox,
            &Stage::RestoreCache,
            caches,
            problem,
            self.attempts("RESTORE_CACHE_ATTEMPTS"),
        )
        .await
    }

    pub(super) async fn save_caches(&self, sandbox: &dyn Sandbox, succeeded: bool) -> Result<(), Failure> {
        let stage = if succeeded {
            Stage::ArchiveCache
        } else {
            Stage::ArchiveCacheOnFailure
        };
        let problem = self.store_problem(sandbox).await;
        let caches = self.source(sandbox.paths()).saves(succeeded);
        self.caches(sandbox, &stage, caches, problem, 1).await
    }

    /// Why the store of `[runners.cache]` cannot be used. Gets the keys that its addresses are signed by.
    async fn store_problem(&self, sandbox: &dyn Sandbox) -> Option<String> {
        let config = &self.host.config.cache;
        if self.job.cache.is_empty() {
            return None;
        }
        if let Some(problem) = cache_problem(config) {
            return Some(problem);
        }
        let valid = self.source(sandbox.paths()).cache_validity();
        let now = jiff::Timestamp::from_millisecond(self.host.clock.now_ms()).ok()?;
        let stop = self.control.all();
        let ready = tokio::select! {
            ready = self.host.keyring.ready(config, valid, now) => ready,
            () = stop.pulled() => return None,
        };
        ready.err().map(|problem| format!("[runners.cache]: {problem}"))
    }

    pub(super) async fn caches(
        &self,
        sandbox: &dyn Sandbox,
        stage: &Stage,
        caches: Vec<Result<CacheRequest<guest::Request>, String>>,
        problem: Option<String>,
        most: u32,
    ) -> Result<(), Failure> {
        if caches.is_empty() {
            return Ok(());
        }
        self.console.open(stage);
        if let Some(problem) = problem {
            self.console.warn(&format!("{problem}; caches stay on this machine"));
        }
        let mut result = Ok(());
        for cache in caches {
            match cache {
                Err(warning) => self.console.warn(&warning),
                Ok(CacheRequest { request, key }) => {
                    let done = self.guest_attempts(sandbox, request, stage, most).await;
                    if self.control.is_over() {
                        result = Err(self.control.failure());
                        break;
                    }
                    if let Err(failure) = done {
                        self.console.warn(&format!("cache {key}: {failure}"));
                    }
                }
            }
        }
        self.console.close(stage);
        result
    }

    pub(super) async fn download_artifacts(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let Some(request) = self.source(sandbox.paths()).dependencies() else {
            return Ok(());
        };
        let stage = Stage::DownloadArtifacts;
        self.console.open(&stage);
        let most = self.attempts("ARTIFACT_DOWNLOAD_ATTEMPTS");
        let result = self.guest_attempts(sandbox, request, &stage, most).await;
        self.console.close(&stage);
        result
    }

    pub(super) async fn upload_artifacts(&self, sandbox: &dyn Sandbox, succeeded: bool) -> Result<(), Failure> {
        let uploads = self.source(sandbox.paths()).uploads(succeeded);
        if uploads.is_empty() || self.control.is_over() {
            return Ok(());
        }
        let stage = if succeeded {
            Stage::UploadArtifactsOnSuccess
        } else {
            Stage::UploadArtifactsOnFailure
        };
        self.console.open(&stage);
        let mut result = Ok(());
        for request in uploads {
            // One that fails does not keep the others (reports!) from being kept.
            let done = self
                .guest(sandbox, request, &Limit::Job, &stage.to_string())
                .await
                .map(drop);
            if let Err(failure) = &done {
                self.console.error(&format!("ERROR: {failure}"));
            }
            result = result.and(done);
        }
        self.console.close(&stage);
        result
    }

    /// The steps, then `after_script` in a shell of its own.
    pub(super) async fn user_scripts(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let (limit, warning) = duration("RUNNER_SCRIPT_TIMEOUT", &self.variables);
        if let Some(warning) = warning {
            self.console.warn(&warning);
        }
        let limit = Limit::of(limit);
        let mut result = Ok(());
        for step in self.job.steps.iter().filter(|step| step.name != "after_script") {
            let due = match step.when {
                When::Always => true,
                When::OnSuccess => result.is_ok(),
                When::OnFailure => result.is_err(),
            };
            if !due || self.control.is_over() {
                continue;
            }
            let ended = self.step(sandbox, step, &limit).await;
            match ended {
                Err(failure) if step.allow_failure && failure.exit_code.is_some() => {
                    self.console
                        .warn(&format!("step {} failed ({failure}), which is allowed", step.name));
                }
                ended => result = result.and(ended),
            }
        }
        if self.control.is_over() {
            return result.and_then(|()| Err(self.control.failure()));
        }
        let after = self.after_script(sandbox, &result).await;
        if truth(&self.variables.value("AFTER_SCRIPT_IGNORE_ERRORS")) == Some(false) {
            result.and(after)
        } else {
            result
        }
    }

    pub(super) async fn step(&self, sandbox: &dyn Sandbox, step: &Step, limit: &Limit) -> Result<(), Failure> {
        let lines = scripts::lines(self.host, step);
        if lines.is_empty() {
            return Ok(());
        }
        let stage = Stage::Step(step.name.clone());
        self.console.open(&stage);
        let own = (step.timeout > 0).then(|| Duration::from_secs(step.timeout));
        let limit = match (limit, own) {
            (Limit::Own(_), _) => limit,
            // A step's timeout is the job's once more; it only matters where it is shorter.
            (Limit::Job, Some(own)) if own < self.timeout => &Limit::Own(own),
            (Limit::Job, _) => limit,
        };
        let result = self.script(sandbox, &stage, &lines, self.control.user(), limit).await;
        self.console.close(&stage);
        result
    }

    pub(super) async fn after_script(
        &mut self,
        sandbox: &dyn Sandbox,
        result: &Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(step) = self.job.steps.iter().find(|step| step.name == "after_script") else {
            return Ok(());
        };
        if step.script.is_empty() {
            return Ok(());
        }
        let status = match result {
            Ok(()) => "success",
            Err(failure) if failure.reason == FailureReason::JobCanceled => "canceled",
            Err(_) => "failed",
        };
        self.variables.set("CI_JOB_STATUS", status);
        let (limit, warning) = duration("RUNNER_AFTER_SCRIPT_TIMEOUT", &self.variables);
        let stage = Stage::AfterScript;
        self.console.open(&stage);
        if let Some(warning) = warning {
            self.console.warn(&warning);
        }
        self.console.line("Running after script...");
        let limit = Limit::Own(limit.unwrap_or(AFTER_SCRIPT));
        let ended = self
            .script(sandbox, &stage, &step.script, self.control.all(), &limit)
            .await;
        if let Err(failure) = &ended {
            self.console.warn(&format!("after_script failed: {failure}"));
        }
        self.console.close(&stage);
        ended
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
