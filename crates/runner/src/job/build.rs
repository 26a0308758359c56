//! The stages of a job in their order.

use std::time::Duration;

use bytes::Bytes;
use tasuki_model::id::TaskId;
use tasuki_model::plan;
use tasuki_model::reason::FailureReason;
use tasuki_proto::gitlab::{Image, JobResponse, Step, When};
use tasuki_rt::Backoff;
use tracing::warn;

use super::console::Console;
use super::control::Control;
use super::failure::Failure;
use super::host::{Host, Slot};
use super::options::{attempts, duration, flag, unusual_flags};
use super::requests::{self, CacheRequest, Source};
use super::scripts;
use super::stage::Stage;
use super::variables::Variables;
use crate::config::show_duration;
use crate::executor::{Command, Exit, Paths, PushedFile, RegistryLogin, Sandbox, Shell, Task};
use crate::guest;
use crate::trace::chain;

/// Time limit of `after_script` where `RUNNER_AFTER_SCRIPT_TIMEOUT` is not set.
const AFTER_SCRIPT: Duration = Duration::from_secs(5 * 60);

/// One job on its way through the stages.
pub(super) struct Build<'a> {
    host: &'a Host,
    job: &'a JobResponse,
    slot: Slot,
    timeout: Duration,
    control: &'a Control,
    console: &'a Console,
    variables: Variables,
    shell: Shell,
}

/// How a command ended that was not an error of its own making.
enum Limit {
    /// No limit but the job's.
    Job,
    /// The stage's own, with its length for the message.
    Own(Duration),
}

impl Limit {
    fn of(limit: Option<Duration>) -> Self {
        limit.map_or(Self::Job, Self::Own)
    }

    fn duration(&self) -> Option<Duration> {
        match self {
            Self::Job => None,
            Self::Own(limit) => Some(*limit),
        }
    }
}

impl<'a> Build<'a> {
    pub(super) fn new(
        host: &'a Host,
        job: &'a JobResponse,
        slot: Slot,
        timeout: Duration,
        control: &'a Control,
        console: &'a Console,
    ) -> Self {
        Self {
            host,
            job,
            slot,
            timeout,
            control,
            console,
            variables: scripts::variables(host, job, slot, timeout.as_secs(), None),
            shell: Shell::default(),
        }
    }

    /// Runs all stages. The first failure that counts is the job's: of the script before one of the cache before one
    /// of the artifacts.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        self.banner();
        self.refuse_what_is_not_there()?;
        let sandbox = self.prepare().await?;
        self.variables = scripts::variables(
            self.host,
            self.job,
            self.slot,
            self.timeout.as_secs(),
            Some(sandbox.paths()),
        );
        let result = self.stages(&*sandbox).await;
        let stage = Stage::CleanupFileVariables;
        self.console.open(&stage);
        if let Err(error) = sandbox.teardown().await {
            // The next sweep finds what is left; the job's own result stands.
            warn!(error = %chain(&error), "something of the job is left behind");
            self.console.warn(&format!("clean-up: {}", chain(&error)));
        }
        self.console.close(&stage);
        result
    }

    fn banner(&self) {
        let info = &self.host.info;
        self.console.line(&format!(
            "Running with {} {} ({})",
            info.name, info.version, info.revision
        ));
        self.console.line(&format!(
            "  on {} {}, system ID: {}",
            self.host.config.name,
            self.host.config.short_token(),
            self.host.system_id
        ));
        let flags = unusual_flags(&self.host.config, &self.variables);
        if !flags.is_empty() {
            self.console.line(&format!("  feature flags: {}", flags.join(", ")));
        }
    }

    /// What this runner cannot do ends the job before anything is done.
    fn refuse_what_is_not_there(&mut self) -> Result<(), Failure> {
        let unsupported = |what: String| Err(Failure::job(FailureReason::RunnerUnsupported, what));
        if !self.job.run.is_empty() {
            return unsupported("this runner has no native steps (`run`): use `script`".to_owned());
        }
        if let Some(name) = self.job.secrets.keys().next() {
            return unsupported(format!(
                "this runner fetches no secrets from outside ({name}): use a masked variable"
            ));
        }
        if self.job.tasuki.as_ref().is_some_and(|tasuki| !tasuki.steps.is_empty()) {
            return unsupported("this runner is older than the server: it has no typed steps".to_owned());
        }
        let options = std::iter::once(&self.job.image)
            .chain(&self.job.services)
            .flat_map(|i| i.executor_opts.unsupported());
        let options: Vec<_> = options.collect();
        if !options.is_empty() {
            return Err(Failure::system(format!(
                "unsupported executor options: {}",
                options.join(", ")
            )));
        }
        let strategy = self.variables.value("GIT_SUBMODULE_STRATEGY");
        if !matches!(strategy.as_str(), "" | "none" | "normal" | "recursive") {
            let message = format!("GIT_SUBMODULE_STRATEGY: {strategy:?} is none of none, normal, recursive");
            return Err(Failure::job(FailureReason::RunnerConfigurationError, message));
        }
        self.shell = scripts::shell(self.host).map_err(|word| {
            let message = format!("the runner's configuration names the shell {word:?}: use bash or sh");
            Failure::job(FailureReason::RunnerConfigurationError, message)
        })?;
        Ok(())
    }

    /// Stage `prepare_executor`: up to three tries, not after an error of the job.
    async fn prepare(&self) -> Result<Box<dyn Sandbox>, Failure> {
        let stage = Stage::PrepareExecutor;
        self.console.open(&stage);
        let mut tries = 1;
        let limit = Limit::of(self.host.config.prepare_timeout.map(|limit| limit.0));
        let result = loop {
            if self.control.is_over() {
                break Err(self.control.failure());
            }
            let prepared = self
                .host
                .executor
                .prepare(self.task(), self.control.all(), self.console.stream());
            let prepared = match limit.duration() {
                Some(limit) => match tokio::time::timeout(limit, prepared).await {
                    Ok(prepared) => prepared,
                    Err(_) => break Err(timed_out("prepare", limit)),
                },
                None => prepared.await,
            };
            match prepared {
                Ok(sandbox) => break Ok(sandbox),
                Err(_) if self.control.is_over() => break Err(self.control.failure()),
                Err(error) if error.is_transient() && tries < 3 => {
                    self.console
                        .error(&format!("ERROR: Preparation failed: {}", chain(&error)));
                    self.console.line("Will be retried in a moment ...");
                    tries += 1;
                    self.pause(self.host.pauses.prepare).await;
                }
                Err(error) => break Err(error.into()),
            }
        };
        self.console.close(&stage);
        result
    }

    fn task(&self) -> Task {
        let empty = requests::strategy(self.job, &self.variables).0 == guest::Strategy::Empty;
        let image = |image: &Image| plan_image(image, &self.variables);
        Task {
            id: TaskId(self.job.id),
            runner_short_token: self.host.config.short_token().to_owned(),
            concurrent_id: self.slot.runner,
            concurrent_project_id: self.slot.project,
            project_slug: requests::slug(self.job),
            project_id: self.job.job_info.project_id,
            folder_suffix: empty.then(|| "-empty".to_owned()),
            variables: self.variables.environment(),
            image: (!self.job.image.name.is_empty()).then(|| image(&self.job.image)),
            services: self
                .job
                .services
                .iter()
                .map(|service| plan::Service {
                    image: image(service),
                    aliases: service
                        .alias
                        .split([' ', ','])
                        .filter(|alias| !alias.is_empty())
                        .map(str::to_owned)
                        .collect(),
                })
                .collect(),
            registry_logins: self
                .job
                .credentials
                .iter()
                .filter(|login| login.kind == "registry")
                .map(|login| RegistryLogin {
                    registry: login.url.clone(),
                    user: login.username.clone(),
                    password: login.password.clone(),
                })
                .collect(),
        }
    }

    async fn stages(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        self.prepare_script(sandbox).await?;
        let sources = self.get_sources(sandbox).await;
        if let Err(failure) = &sources
            && (self.control.is_over() || failure.reason == FailureReason::JobExecutionTimeout)
        {
            // Nothing of the user's is there that could be kept.
            return sources;
        }
        let mut ready = sources;
        if ready.is_ok() {
            ready = self.restore_caches(sandbox).await;
        }
        if ready.is_ok() {
            ready = self.download_artifacts(sandbox).await;
        }
        let result = match ready {
            Ok(()) => self.user_scripts(sandbox).await,
            Err(failure) => Err(failure),
        };
        if self.control.is_over() {
            return result.and_then(|()| Err(self.control.failure()));
        }
        let cache = self.save_caches(sandbox, result.is_ok()).await;
        let artifacts = self.upload_artifacts(sandbox, result.is_ok()).await;
        let result = result.and(cache).and(artifacts);
        if self.control.is_over() {
            result.and_then(|()| Err(self.control.failure()))
        } else {
            result
        }
    }

    /// Stage `prepare_script`: the file variables.
    async fn prepare_script(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let stage = Stage::PrepareScript;
        self.console.open(&stage);
        self.console.line(&format!("Running on {}...", hostname()));
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
        self.console.close(&stage);
        if self.control.is_over() {
            Err(self.control.failure())
        } else {
            result
        }
    }

    async fn get_sources(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
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

    fn sources_request(&self, source: &Source<'_>) -> Result<guest::Request, Failure> {
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
    async fn sources_once(&self, sandbox: &dyn Sandbox, request: guest::Request, limit: &Limit) -> Result<(), Failure> {
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

    async fn hook(&self, sandbox: &dyn Sandbox, name: &str, own: &str) -> Result<(), Failure> {
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
        self.script(sandbox, &lines, self.control.all(), &Limit::Job).await
    }

    async fn clear_worktree(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
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
    async fn restore_caches(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let caches = self.source(sandbox.paths()).restores();
        self.caches(
            sandbox,
            &Stage::RestoreCache,
            caches,
            self.attempts("RESTORE_CACHE_ATTEMPTS"),
        )
        .await
    }

    async fn save_caches(&self, sandbox: &dyn Sandbox, succeeded: bool) -> Result<(), Failure> {
        let stage = if succeeded {
            Stage::ArchiveCache
        } else {
            Stage::ArchiveCacheOnFailure
        };
        let caches = self.source(sandbox.paths()).saves(succeeded);
        self.caches(sandbox, &stage, caches, 1).await
    }

    async fn caches(
        &self,
        sandbox: &dyn Sandbox,
        stage: &Stage,
        caches: Vec<Result<CacheRequest<guest::Request>, String>>,
        most: u32,
    ) -> Result<(), Failure> {
        if caches.is_empty() {
            return Ok(());
        }
        self.console.open(stage);
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

    async fn download_artifacts(&self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
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

    async fn upload_artifacts(&self, sandbox: &dyn Sandbox, succeeded: bool) -> Result<(), Failure> {
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
                .guest(sandbox, request, &Limit::Job, "upload_artifacts")
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
    async fn user_scripts(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
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
        if self.variables.value("AFTER_SCRIPT_IGNORE_ERRORS") == "false" {
            result.and(after)
        } else {
            result
        }
    }

    async fn step(&self, sandbox: &dyn Sandbox, step: &Step, limit: &Limit) -> Result<(), Failure> {
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
        let result = self.script(sandbox, &lines, self.control.user(), limit).await;
        self.console.close(&stage);
        result
    }

    async fn after_script(&mut self, sandbox: &dyn Sandbox, result: &Result<(), Failure>) -> Result<(), Failure> {
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
        let ended = self.script(sandbox, &step.script, self.control.all(), &limit).await;
        if let Err(failure) = &ended {
            self.console.warn(&format!("after_script failed: {failure}"));
        }
        self.console.close(&stage);
        ended
    }

    async fn script(
        &self,
        sandbox: &dyn Sandbox,
        lines: &[String],
        stop: crate::executor::Stop,
        limit: &Limit,
    ) -> Result<(), Failure> {
        let text = scripts::text(self.host, self.job, &self.variables, lines);
        let command = Command {
            env: self.variables.environment(),
            timeout: limit.duration(),
            stop,
            ..Command::script(self.shell.clone(), text)
        };
        let output = self.console.work();
        let ended = sandbox.run(command, &output).await;
        output.finish();
        match ended {
            Err(_) if self.control.cause().is_some() => Err(self.control.failure()),
            Err(error) => Err(error.into()),
            Ok(ended) => match ended.exit {
                Exit::Code(0) => Ok(()),
                Exit::Code(code) => Err(Failure::exit(code)),
                Exit::Signal(signal) => Err(Failure {
                    message: format!("ended by signal {signal}"),
                    ..Failure::exit(128 + signal)
                }),
                Exit::Stopped => Err(self.control.failure()),
                Exit::TimedOut => Err(timed_out("script", limit.duration().unwrap_or(self.timeout))),
            },
        }
    }

    async fn guest(
        &self,
        sandbox: &dyn Sandbox,
        request: guest::Request,
        limit: &Limit,
        stage: &str,
    ) -> Result<guest::Response, Failure> {
        if self.control.is_over() {
            return Err(self.control.failure());
        }
        let command = Command {
            env: self.variables.environment(),
            timeout: limit.duration(),
            stop: self.control.all(),
            ..Command::guest(request)
        };
        let output = self.console.work();
        let ended = sandbox.run(command, &output).await;
        output.finish();
        let ended = match ended {
            Err(_) if self.control.is_over() => return Err(self.control.failure()),
            other => other?,
        };
        match (ended.exit, ended.response) {
            (Exit::Stopped, _) => Err(self.control.failure()),
            (Exit::TimedOut, _) => Err(timed_out(stage, limit.duration().unwrap_or(self.timeout))),
            (_, Some(response)) => match response.failure {
                Some(failure) => Err(failure.into()),
                None => Ok(response),
            },
            (exit, None) => Err(Failure::system(format!(
                "{stage}: the guest ended without an answer ({exit:?})"
            ))),
        }
    }

    async fn guest_attempts(
        &self,
        sandbox: &dyn Sandbox,
        request: guest::Request,
        stage: &Stage,
        most: u32,
    ) -> Result<(), Failure> {
        let mut backoff = self.backoff();
        let mut tries = 1;
        let name = stage.to_string();
        loop {
            match self.guest(sandbox, request.clone(), &Limit::Job, &name).await {
                Ok(_) => return Ok(()),
                Err(failure) if self.tries_again(tries, most, &failure) => {
                    self.console
                        .warn(&format!("attempt {tries} of {most} failed: {failure}"));
                    tries += 1;
                    self.pause(backoff.pause()).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn tries_again(&self, tries: u32, most: u32, failure: &Failure) -> bool {
        tries < most && !self.control.is_over() && failure.reason != FailureReason::JobExecutionTimeout
    }

    fn attempts(&self, variable: &str) -> u32 {
        let (most, warning) = attempts(variable, &self.variables);
        if let Some(warning) = warning {
            self.console.warn(&warning);
        }
        most
    }

    fn backoff(&self) -> Backoff {
        let long = flag(
            "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY",
            &self.host.config,
            &self.variables,
        );
        let (first, most) = if long {
            self.host.pauses.stage
        } else {
            self.host.pauses.stage_short
        };
        Backoff::new(first, most)
    }

    /// Ends early when the job does.
    async fn pause(&self, pause: Duration) {
        // Whether it ran out or not is seen by the next check of the control.
        let _ = tokio::time::timeout(pause, self.control.all().pulled()).await;
    }

    fn source<'s>(&'s self, paths: &'s Paths) -> Source<'s> {
        Source {
            host: self.host,
            job: self.job,
            variables: &self.variables,
            paths,
        }
    }
}

fn timed_out(what: &str, limit: Duration) -> Failure {
    let message = format!("{what}: execution took longer than {}", show_duration(limit));
    Failure::job(FailureReason::JobExecutionTimeout, message)
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn plan_image(image: &Image, variables: &Variables) -> plan::Image {
    let options = &image.executor_opts;
    let docker = options.docker.as_ref();
    plan::Image {
        name: variables.expand(&image.name),
        entrypoint: (!image.entrypoint.is_empty()).then(|| image.entrypoint.clone()),
        command: (!image.command.is_empty()).then(|| image.command.clone()),
        pull_policy: image
            .pull_policy
            .iter()
            .filter_map(|policy| pull_policy(policy))
            .collect(),
        platform: docker
            .map(|docker| docker.platform.clone())
            .filter(|platform| !platform.is_empty()),
        user: docker.and_then(|docker| docker.user.as_ref()).map(ToString::to_string),
        kubernetes_user: options
            .kubernetes
            .as_ref()
            .and_then(|k| k.user.as_ref())
            .map(ToString::to_string),
        variables: image
            .variables
            .iter()
            .map(|variable| plan::Variable {
                file: variable.file,
                masked: variable.masked,
                raw: variable.raw,
                ..plan::Variable::plain(variable.key.clone(), variable.value.clone())
            })
            .collect(),
        ..plan::Image::default()
    }
}

fn pull_policy(name: &str) -> Option<plan::PullPolicy> {
    match name {
        "always" => Some(plan::PullPolicy::Always),
        "if-not-present" => Some(plan::PullPolicy::IfNotPresent),
        "never" => Some(plan::PullPolicy::Never),
        _ => None,
    }
}
