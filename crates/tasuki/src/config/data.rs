//! The data folder: its default place, its lock, and the note that tells commands where the server listens.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::exit::Mark as _;

/// Which data folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataDir {
    /// Folder of the server's data [default: the platform's data folder]
    #[arg(long = "data", value_name = "DIR", env = "TASUKI_DATA")]
    given: Option<PathBuf>,
}

/// Where a server of this data folder listens, for the commands of the same user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) pid: u32,
}

impl DataDir {
    /// The folder that was named, or `$XDG_DATA_HOME/tasuki`, `~/.local/share/tasuki`.
    ///
    /// # Errors
    /// Nothing is named and there is no home.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(given) = &self.given {
            return Ok(std::path::absolute(given)?);
        }
        let set = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let share = set("XDG_DATA_HOME").or_else(|| Some(std::env::home_dir()?.join(".local/share")));
        let share = share
            .context("there is no home folder to keep data in")
            .usage()
            .hint("name a folder with --data")?;
        Ok(share.join("tasuki"))
    }
}

/// The folder of CircleCI's orbs that the environment names.
pub(crate) fn orbs() -> Option<PathBuf> {
    let named = std::env::var_os("TASUKI_CIRCLECI_ORBS").filter(|value| !value.is_empty())?;
    std::path::absolute(named).ok()
}

impl Served {
    fn file(data: &Path) -> PathBuf {
        data.join("server.json")
    }

    /// Notes where the server listens. Written beside and renamed, so that it is never read in halves.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let new = data.join("server.json.new");
        let written =
            std::fs::write(&new, serde_json::to_string(self)?).and_then(|()| std::fs::rename(&new, Self::file(data)));
        written.with_context(|| format!("cannot write into {}", data.display()))
    }

    /// What was noted last; the server may be gone.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::file(data)).ok()?).ok()
    }

    /// The server has stopped.
    pub(crate) fn remove(data: &Path) {
        let _ = std::fs::remove_file(Self::file(data));
    }
}

/// Keeps a second server away from the folder as long as it lives; a dead process keeps nothing.
pub(crate) fn lock(data: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("cannot create the data folder {}", data.display()))
        .usage()?;
    let path = data.join("lock");
    let file = File::create(&path)
        .with_context(|| format!("cannot write {}", path.display()))
        .usage()?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let other = Served::read(data).map_or_else(String::new, |served| format!(" at {}", served.url));
            Err(anyhow::anyhow!("another tasuki works with {}{other}", data.display()))
                .usage()
                .hint("stop that one, or choose another folder with --data")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
