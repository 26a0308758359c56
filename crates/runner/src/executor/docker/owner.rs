//! Which runner's process a sandbox belongs to, and whether it is alive.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::executor::{Error, Result, unique};

/// A lock file that is held for as long as the process lives, however it ends. Its path stands in the labels of
/// everything that the process makes.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    host: String,
    _lock: File,
}

impl Owner {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::system(format!("write to {}", folder.display()), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let path = folder.join(format!("docker-{}.lock", unique()?));
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self {
            path,
            host: host(),
            _lock: lock,
        })
    }

    pub(super) fn label(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the process that made something on `host` under the lock `path` is gone for certain. What another machine
    /// made is not ours to judge.
    pub(super) fn is_dead(&self, host: &str, path: &str) -> bool {
        if host != self.host || Path::new(path) == self.path {
            return false;
        }
        match File::open(path) {
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What is left behind is dead without it, too.
        let _ = fs::remove_file(&self.path);
    }
}

/// Name of this machine. A runner in a container has one of its own, as it has files of its own.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
