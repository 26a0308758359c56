//! What commands take from the process.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tasuki_rt::{Clock, Tasks};

use super::{Error, Result};
use crate::config::{ConfigFile, Environment, LogFormat, LogLevel};
use crate::identity::system_id;
use crate::process::Binary;

/// The program's own log.
pub trait ProgramLog: Send + Sync {
    /// Takes over what the configuration says, each time that it is read. `None`: it says nothing, the default counts. What
    /// the command line or the environment say goes first.
    fn configure(&self, level: Option<LogLevel>, format: Option<LogFormat>);
}

/// Surroundings of a command.
pub struct Context {
    pub environment: Environment,
    pub clock: Clock,
    /// Runs everything that a command starts.
    pub tasks: Tasks,
    pub out: Box<dyn Write + Send>,
    /// Answers of a person; absent where nobody is there to answer.
    pub input: Option<Box<dyn BufRead + Send>>,
    pub working_dir: PathBuf,
    /// Folder of unit files, `/etc/systemd/system`.
    pub unit_dir: PathBuf,
    /// Supervisor and guest of shell jobs; absent = this program.
    pub binary: Option<Binary>,
    /// Adjusted by the commands that run jobs.
    pub log: Arc<dyn ProgramLog>,
}

/// Where the runner's configuration file is: as given, or where gitlab-runner keeps its own.
#[must_use]
pub fn config_path(environment: &Environment, working_dir: &Path, given: Option<&Path>) -> PathBuf {
    if let Some(path) = given {
        return working_dir.join(path);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/etc/gitlab-runner/config.toml");
    }
    match environment.get("HOME") {
        Some(home) => Path::new(home).join(".gitlab-runner/config.toml"),
        None => working_dir.join("config.toml"),
    }
}

impl Context {
    /// Prints one line.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{line}")
            .and_then(|()| self.out.flush())
            .map_err(Error::Output)
    }

    /// Asks for one value; the default where the answer is empty or nobody is there.
    pub(super) fn ask(&mut self, question: &str, default: &str) -> Result<String> {
        let Some(input) = &mut self.input else {
            return Ok(default.to_owned());
        };
        let shown = if default.is_empty() {
            format!("{question}:")
        } else {
            format!("{question} [{default}]:")
        };
        writeln!(self.out, "{shown}")
            .and_then(|()| self.out.flush())
            .map_err(Error::Output)?;
        let mut answer = String::new();
        input.read_line(&mut answer).map_err(Error::Input)?;
        let answer = answer.trim();
        Ok(if answer.is_empty() {
            default.to_owned()
        } else {
            answer.to_owned()
        })
    }

    /// The configuration file: as given, or where gitlab-runner keeps its own.
    pub(super) fn config_path(&self, given: Option<&Path>) -> PathBuf {
        config_path(&self.environment, &self.working_dir, given)
    }

    /// The configuration file, which must be there.
    pub(super) fn load(&self, given: Option<&Path>) -> Result<ConfigFile> {
        Ok(ConfigFile::load(&self.config_path(given))?)
    }

    /// The system id beside the configuration.
    pub(super) fn system_id(config: &Path) -> String {
        system_id(folder(config))
    }
}

/// The folder of a file.
pub(super) fn folder(file: &Path) -> &Path {
    file.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
