//! `[runners.custom]`, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::CustomConfig;
use crate::executor::{Error, Result, ShellKind};
use crate::process::Binary;

/// Time limit of a program where none is set.
const USUAL_TIMEOUT: Duration = Duration::from_secs(3600);
/// From SIGTERM to SIGKILL where nothing is set.
const USUAL_GRACE: Duration = Duration::from_secs(600);
/// From SIGKILL to giving up where nothing is set.
const USUAL_PATIENCE: Duration = Duration::from_secs(10);

/// Settings of the custom executor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[runners.custom]`.
    pub config: CustomConfig,
    /// Folder of the sources inside; empty = as `config_exec` says.
    pub builds_dir: String,
    /// Folder of the caches inside; empty = as `config_exec` says.
    pub cache_dir: String,
    /// `shell` of the runner: `config_exec` may name another in its place.
    pub shell: ShellKind,
    /// Folder of the records; made when missing.
    pub state_dir: PathBuf,
    /// What relative programs are relative to.
    pub working_dir: PathBuf,
    /// The runner's own environment, which drivers get.
    pub environment: Vec<(String, String)>,
    /// What is started as supervisor.
    pub binary: Binary,
}

/// One of the driver's programs.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// As the configuration calls it.
    pub(super) name: &'static str,
    pub(super) argv: Vec<String>,
    pub(super) timeout: Option<Duration>,
}

/// The driver's programs. Those that are not set are not called.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    pub(super) config: Option<Step>,
    pub(super) prepare: Option<Step>,
    pub(super) run: Step,
    pub(super) cleanup: Option<Step>,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
    /// From SIGKILL to giving up.
    pub(super) patience: Duration,
}

impl Steps {
    /// # Errors
    /// There is no `run_exec`.
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        let config = &settings.config;
        let step = |name, exec: &str, args: &[String], timeout| {
            (!exec.is_empty()).then(|| {
                let program = locate(&settings.working_dir, exec);
                Step {
                    name,
                    argv: std::iter::once(program).chain(args.iter().cloned()).collect(),
                    timeout,
                }
            })
        };
        let limit = |given| Some(seconds(given, USUAL_TIMEOUT));
        let run = step("run_exec", &config.run_exec, &config.run_args, None);
        Ok(Self {
            config: step(
                "config_exec",
                &config.config_exec,
                &config.config_args,
                limit(config.config_exec_timeout),
            ),
            prepare: step(
                "prepare_exec",
                &config.prepare_exec,
                &config.prepare_args,
                limit(config.prepare_exec_timeout),
            ),
            run: run.ok_or_else(|| {
                Error::configuration(
                    "[runners.custom] has no run_exec",
                    "name the driver's program that runs scripts",
                )
            })?,
            cleanup: step(
                "cleanup_exec",
                &config.cleanup_exec,
                &config.cleanup_args,
                limit(config.cleanup_exec_timeout),
            ),
            grace: seconds(config.graceful_kill_timeout, USUAL_GRACE),
            patience: seconds(config.force_kill_timeout, USUAL_PATIENCE),
        })
    }
}

fn seconds(given: Option<u64>, usual: Duration) -> Duration {
    given.filter(|seconds| *seconds > 0).map_or(usual, Duration::from_secs)
}

/// A name without `/` is looked for in `PATH`.
fn locate(folder: &Path, program: &str) -> String {
    if program.contains('/') {
        let program = program.strip_prefix("./").unwrap_or(program);
        folder.join(program).to_string_lossy().into_owned()
    } else {
        program.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: CustomConfig) -> Settings {
        Settings {
            config,
            builds_dir: String::new(),
            cache_dir: String::new(),
            shell: ShellKind::Detect,
            state_dir: PathBuf::new(),
            working_dir: PathBuf::from("/etc/runner"),
            environment: Vec::new(),
            binary: Binary::current(),
        }
    }

    #[test]
    fn programs_and_limits() {
        for (exec, program) in [("driver", "driver"), ("./driver", "/etc/runner/driver"), ("/d", "/d")] {
            let config = CustomConfig {
                run_exec: exec.to_owned(),
                run_args: vec!["run".to_owned()],
                prepare_exec: "/p".to_owned(),
                graceful_kill_timeout: Some(0),
                force_kill_timeout: Some(3),
                ..CustomConfig::default()
            };
            let steps = Steps::of(&settings(config)).expect("are whole");
            assert_eq!(steps.run.argv, [program, "run"]);
            assert_eq!(steps.run.timeout, None, "the job's");
            assert_eq!(steps.prepare.and_then(|step| step.timeout), Some(USUAL_TIMEOUT));
            assert_eq!((steps.grace, steps.patience), (USUAL_GRACE, Duration::from_secs(3)));
            assert!(steps.config.is_none() && steps.cleanup.is_none());
        }
        let error = Steps::of(&settings(CustomConfig::default())).expect_err("run_exec is missing");
        assert!(error.to_string().contains("run_exec"), "{error}");
    }
}
