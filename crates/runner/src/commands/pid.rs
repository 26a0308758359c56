//! A file with the process id, for machines without a service manager.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::context::folder;
use super::{Error, Result};

/// The file beside the configuration. Removed when this is dropped.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Where it is.
    pub(super) fn path(config: &Path) -> PathBuf {
        folder(config).join(".runner.pid")
    }

    /// Writes it. Not being able to is no reason not to run.
    pub(super) fn write(config: &Path) -> Option<Self> {
        let path = Self::path(config);
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self { path }),
            Err(error) => {
                tracing::debug!(file = %path.display(), %error, "no pid file");
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Left behind it names a process that is gone, which `status` notices.
        let _ = fs::remove_file(&self.path);
    }
}

/// The process that the file names, while it lives and is a runner.
pub(super) fn living(config: &Path) -> Option<Pid> {
    let text = fs::read_to_string(PidFile::path(config)).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    test_kill_process(pid).ok()?;
    // The number may belong to another program by now.
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    line.split(|byte| *byte == 0).any(|word| word == b"run").then_some(pid)
}

/// Asks the process to end when its jobs have.
pub(super) fn ask_to_end(pid: Pid) -> Result<()> {
    kill_process(pid, Signal::QUIT).map_err(|error| Error::system("signal the runner", error.into()))
}
