//! From the word in `config.toml` to an executor.

use std::path::PathBuf;
use std::sync::Arc;

use tasuki_rt::Tasks;

use crate::config::{ExecutorKind, RunnerConfig, ShellWord};
use crate::executor::custom::{self, Custom};
use crate::executor::docker::{Docker, GuestNetwork, Settings, Surroundings};
use crate::executor::kubernetes::{self, Kubernetes};
use crate::executor::shell::{Config, Shell};
use crate::executor::{Error, Executor, Result, ShellKind};
use crate::process::Binary;

/// Makes the executor of a runner.
pub type ExecutorFactory = dyn Fn(&RunnerConfig) -> Result<Arc<dyn Executor>> + Send + Sync;

/// What executors use where `config.toml` says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Absolute. `builds` and `cache` below it are used where a shell runner names none; state is kept below it.
    pub working_dir: PathBuf,
    /// Whom shell jobs run as.
    pub user: Option<String>,
    /// `PATH` of shell jobs.
    pub path: Option<String>,
    /// What is started as supervisor and guest; absent = this program.
    pub binary: Option<Binary>,
    /// Of this runner's installation.
    pub system_id: String,
    /// What the environment says of the container engine.
    pub surroundings: Surroundings,
    /// The process's environment, for the drivers of custom executors.
    pub environment: Vec<(String, String)>,
}

/// The executors of this build: `shell`, `docker`, `kubernetes` and `custom`. Others are refused with their name.
pub fn executors(defaults: Defaults, tasks: Tasks) -> Arc<ExecutorFactory> {
    Arc::new(move |runner| match runner.executor.parse() {
        Ok(ExecutorKind::Shell) => shell(runner, &defaults, &tasks),
        Ok(ExecutorKind::Docker) => docker(runner, &defaults, &tasks),
        Ok(ExecutorKind::Kubernetes) => kubernetes(runner, &defaults, &tasks),
        Ok(ExecutorKind::Custom) => driver(runner, &defaults, &tasks),
        Err(_) if runner.executor.is_empty() => Err(Error::configuration(
            format!("the runner {:?} names no executor", runner.name),
            "set executor = \"shell\", \"docker\", \"kubernetes\" or \"custom\"",
        )),
        Err(error) => Err(Error::configuration(
            format!("the runner {:?}: {error}", runner.name),
            "`tasuki runner lint` checks the whole file",
        )),
    })
}

fn shell(runner: &RunnerConfig, defaults: &Defaults, tasks: &Tasks) -> Result<Arc<dyn Executor>> {
    let folder = |given: &str, name: &str| {
        if given.is_empty() {
            defaults.working_dir.join(name)
        } else {
            defaults.working_dir.join(given)
        }
    };
    let mut config = Config::new(folder(&runner.builds_dir, "builds"), folder(&runner.cache_dir, "cache"));
    config.user.clone_from(&defaults.user);
    if let Some(path) = &defaults.path {
        config.path.clone_from(path);
    }
    if let Some(binary) = &defaults.binary {
        config.binary = binary.clone();
    }
    Ok(Arc::new(Shell::new(config, tasks.clone())?))
}

fn docker(runner: &RunnerConfig, defaults: &Defaults, tasks: &Tasks) -> Result<Arc<dyn Executor>> {
    let folder = |given: &str, usual: &str| {
        if given.is_empty() {
            usual.to_owned()
        } else {
            given.to_owned()
        }
    };
    let settings = Settings {
        config: runner.docker.clone().unwrap_or_default(),
        builds_dir: folder(&runner.builds_dir, "/builds"),
        cache_dir: folder(&runner.cache_dir, "/cache"),
        system_id: defaults.system_id.clone(),
        state_dir: defaults.working_dir.join(".tasuki"),
        binary: defaults.binary.clone().unwrap_or_else(Binary::current),
        guest_network: if is_loopback(&runner.url) {
            GuestNetwork::Host
        } else {
            GuestNetwork::Job
        },
        surroundings: defaults.surroundings.clone(),
        feature_flags: runner.feature_flags.clone(),
    };
    Ok(Arc::new(Docker::new(settings, tasks.clone())?))
}

fn kubernetes(runner: &RunnerConfig, defaults: &Defaults, tasks: &Tasks) -> Result<Arc<dyn Executor>> {
    let settings = kubernetes::Settings::new(runner)?;
    for warning in &settings.warnings {
        tracing::warn!(runner.name = runner.name, "{warning}");
    }
    let binary = defaults.binary.clone().unwrap_or_else(Binary::current);
    let state = defaults.working_dir.join(".tasuki");
    Ok(Arc::new(Kubernetes::new(settings, &state, &binary, tasks.clone())?))
}

fn driver(runner: &RunnerConfig, defaults: &Defaults, tasks: &Tasks) -> Result<Arc<dyn Executor>> {
    let word: ShellWord = runner.shell.parse().map_err(|error| {
        Error::configuration(
            format!("the runner {:?}: {error}", runner.name),
            "`tasuki runner lint` checks the whole file",
        )
    })?;
    let settings = custom::Settings {
        config: runner.custom.clone().unwrap_or_default(),
        builds_dir: runner.builds_dir.clone(),
        cache_dir: runner.cache_dir.clone(),
        shell: match word {
            ShellWord::Detect => ShellKind::Detect,
            ShellWord::Bash => ShellKind::Bash,
            ShellWord::Sh => ShellKind::Sh,
        },
        state_dir: defaults.working_dir.join(".tasuki"),
        working_dir: defaults.working_dir.clone(),
        environment: defaults.environment.clone(),
        binary: defaults.binary.clone().unwrap_or_else(Binary::current),
    };
    Ok(Arc::new(Custom::new(settings, tasks.clone())?))
}

/// Whether a server is to be reached from its own machine only.
fn is_loopback(url: &str) -> bool {
    let host = url::Url::parse(url).ok().and_then(|url| Some(url.host()?.to_owned()));
    match host {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
