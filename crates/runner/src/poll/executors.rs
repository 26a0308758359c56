//! From the word in `config.toml` to an executor.

use std::path::PathBuf;
use std::sync::Arc;

use tasuki_rt::Tasks;

use crate::config::RunnerConfig;
use crate::executor::shell::{Config, Shell};
use crate::executor::{Error, Executor, Result};
use crate::process::Binary;

/// Makes the executor of a runner.
pub type ExecutorFactory = dyn Fn(&RunnerConfig) -> Result<Arc<dyn Executor>> + Send + Sync;

/// What shell executors use where `config.toml` says nothing.
#[derive(Debug, Clone)]
pub struct ShellDefaults {
    /// Absolute. `builds` and `cache` below it are used where the runner names none.
    pub working_dir: PathBuf,
    pub user: Option<String>,
    pub path: Option<String>,
    /// What is started as supervisor and guest; absent = this program.
    pub binary: Option<Binary>,
}

/// The executors of this build: `shell`. Others are refused with their name.
pub fn shell_only(defaults: ShellDefaults, tasks: Tasks) -> Arc<ExecutorFactory> {
    Arc::new(move |runner| match runner.executor.as_str() {
        "shell" => {
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
            Ok(Arc::new(Shell::new(config, tasks.clone())?) as Arc<dyn Executor>)
        }
        "" => Err(Error::configuration(
            format!("the runner {:?} names no executor", runner.name),
            "set executor = \"shell\"",
        )),
        other => Err(Error::configuration(
            format!(
                "the runner {:?} wants the executor {other:?}, which this version does not have",
                runner.name
            ),
            "set executor = \"shell\"",
        )),
    })
}
