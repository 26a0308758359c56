//! The stages of a job in their order.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tasuki_model::plan;
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;
use tasuki_proto::gitlab::JobResponse;
use tasuki_rt::CancellationToken;
use tokio::sync::watch;
use tracing::warn;

use super::command::{Limit, timed_out};
use super::console::Console;
use super::control::Control;
use super::failure::Failure;
use super::host::{Host, Slot};
use super::options::unusual_flags;
use super::scripts;
use super::stage::Stage;
use super::steps;
use super::task;
use super::terminal::Terminals;
use super::variables::Variables;
use crate::executor::{Sandbox, Shell, Task};
use crate::trace::chain;

/// One job on its way through the stages.
pub(super) struct Build<'a> {
    pub(super) host: &'a Host,
    pub(super) job: &'a JobResponse,
    slot: Slot,
    pub(super) timeout: Duration,
    pub(super) control: &'a Control,
    pub(super) console: &'a Console,
    pub(super) variables: Variables,
    pub(super) shell: Shell,
    terminals: watch::Receiver<Option<Secret>>,
    outputs: Mutex<BTreeMap<String, String>>,
}

impl<'a> Build<'a> {
    pub(super) fn new(
        host: &'a Host,
        job: &'a JobResponse,
        slot: Slot,
        timeout: Duration,
        control: &'a Control,
        console: &'a Console,
        terminals: watch::Receiver<Option<Secret>>,
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
            terminals,
            outputs: Mutex::default(),
        }
    }

    /// What the job gives to those that need it, once it has run.
    pub(super) fn take_outputs(&self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.outputs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn give(&self, outputs: BTreeMap<String, String>) {
        *self.outputs.lock().unwrap_or_else(PoisonError::into_inner) = outputs;
    }

    /// Runs all stages. The first failure that counts is the job's: of the script before one of the cache before one
    /// of the artifacts.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        self.banner();
        self.refuse_what_is_not_there()?;
        self.tell_lost_wishes();
        let sandbox = self.prepare().await?;
        self.variables = scripts::variables(
            self.host,
            self.job,
            self.slot,
            self.timeout.as_secs(),
            Some(sandbox.paths()),
        );
        let result = self.stages_and_terminals(&*sandbox).await;
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

    /// The stages, with the terminals that somebody opens meanwhile.
    async fn stages_and_terminals(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        let terminals = Terminals {
            host: self.host,
            token: &self.job.token,
            wanted: self.terminals.clone(),
            shell: self.shell.clone(),
            env: self.variables.environment(),
        };
        let ended = CancellationToken::new();
        let stages = async {
            let result = self.stages(sandbox).await;
            ended.cancel();
            result
        };
        tokio::join!(stages, terminals.serve(sandbox, &ended)).0
    }

    fn contexts_given(&self) -> Option<&'a serde_json::Value> {
        self.job.tasuki.as_ref().and_then(|tasuki| tasuki.contexts.as_ref())
    }

    fn speaks(&self) -> steps::Speaks {
        match self.contexts_given() {
            Some(_) => steps::Speaks::Yes,
            None => steps::Speaks::No,
        }
    }

    /// What a job whose steps speak asks of containers, where there are none. GitLab's jobs go on without them.
    fn wants_containers(&self) -> Option<String> {
        if self.contexts_given().is_none() || self.host.executor.kind() != "shell" {
            return None;
        }
        match (self.job.image.name.as_str(), self.job.services.first()) {
            ("", None) => None,
            ("", Some(service)) => Some(format!("the service `{}`", service.name)),
            (image, _) => Some(format!("the container `{image}`")),
        }
    }

    /// Says what of the containers means nothing in a pod.
    fn tell_lost_wishes(&self) {
        let containers = self.job.tasuki.as_ref().and_then(|tasuki| tasuki.containers.as_ref());
        let Some(containers) = containers.filter(|_| self.host.executor.kind() != "docker") else {
            return;
        };
        let images = std::iter::once(&self.job.image).chain(&self.job.services);
        let wishes = std::iter::once(&containers.job).chain(&containers.services);
        for (image, wishes) in images.zip(wishes) {
            let lost = [
                ("options", !wishes.options.is_empty()),
                ("volumes", !wishes.volumes.is_empty()),
                (
                    "ports of the machine",
                    wishes.ports.iter().any(|port| port.host.is_some()),
                ),
            ];
            for (what, _) in lost.into_iter().filter(|(_, is_lost)| *is_lost) {
                let executor = self.host.executor.kind();
                let name = &image.name;
                self.console.warn(&format!(
                    "{what} of the container {name:?} mean nothing on the {executor} executor"
                ));
            }
        }
    }

    fn banner(&self) {
        let info = &self.host.info;
        let revision = match info.revision.as_str() {
            "" => String::new(),
            known => format!(" ({known})"),
        };
        self.console
            .line(&format!("Running with {} {}{revision}", info.name, info.version));
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
        if let Some(what) = self
            .typed()
            .iter()
            .find_map(|step| steps::unsupported(step, self.speaks()))
        {
            return unsupported(what);
        }
        if self.host.executor.kind() != "docker"
            && let Some(step) = self.typed().iter().find(|step| steps::is_contained(step))
        {
            let title = steps::title(step);
            return unsupported(format!(
                "the step {title:?} runs in a container of its own, which only the docker executor makes: use a runner that has it"
            ));
        }
        if let Some(what) = self.wants_containers() {
            return unsupported(format!(
                "the job wants {what}, and the shell executor runs it on the machine itself: use an executor with containers"
            ));
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
        let own_folder = !self.variables.value("GIT_CLONE_PATH").is_empty();
        if own_folder && !self.host.config.custom_build_dir.allowed(self.host.executor.kind()) {
            let message = "GIT_CLONE_PATH is not allowed on this runner: `enabled = true` in its [runners.custom_build_dir], or \
                           use CI_PROJECT_DIR for the folder";
            return Err(Failure::job(FailureReason::RunnerConfigurationError, message));
        }
        self.shell = scripts::shell(self.host).map_err(|error| {
            let message = format!("the runner's configuration: {error}");
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
        task::task(self.host, self.job, self.slot, self.timeout, &self.variables)
    }

    /// Steps that replace the scripts of GitLab's payload.
    fn typed(&self) -> &'a [plan::Step] {
        self.job.tasuki.as_ref().map_or(&[], |tasuki| &tasuki.steps)
    }

    async fn stages(&mut self, sandbox: &dyn Sandbox) -> Result<(), Failure> {
        self.prepare_script(sandbox).await?;
        if !self.typed().is_empty() {
            // They check out, restore and keep what they want themselves.
            return match self.contexts_given() {
                Some(contexts) => self.speaking_steps(sandbox, contexts).await,
                None => self.typed_steps(sandbox).await,
            };
        }
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
}
