//! Throw-away data: as fast as memory where durability is worth nothing, and gone afterwards.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tasuki_server::config::Config;

const PREFIX: &str = "tasuki-exec-";
/// A file system in memory on every usual Linux: writing the database through costs nothing there.
const MEMORY: &str = "/dev/shm";

/// The folders of one run. Removed at the end; what a killed run left is removed by the next one.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
    memory: Option<tempfile::TempDir>,
    /// Held as long as the folders are in use.
    _locks: Vec<File>,
}

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Self> {
        let root = std::env::temp_dir();
        sweep(&root);
        sweep(Path::new(MEMORY));
        let folder = make(&root).with_context(|| format!("cannot create a folder in {}", root.display()))?;
        let memory = make(Path::new(MEMORY)).ok();
        let mut locks = vec![folder.1];
        let memory = memory.map(|(folder, lock)| {
            locks.push(lock);
            folder
        });
        Ok(Self {
            folder: folder.0,
            memory,
            _locks: locks,
        })
    }

    /// Where builds, artifacts and spool files lie: they may be large.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A server on these folders. Its many small files lie in memory; artifacts, which may be large, on the disk.
    ///
    /// # Errors
    /// The folders cannot be written.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let data = match &self.memory {
            None => self.folder.path().join("data"),
            Some(memory) => {
                let (blobs, data) = (self.folder.path().join("blobs"), memory.path().join("data"));
                std::fs::create_dir_all(&blobs)
                    .and_then(|()| std::fs::create_dir_all(&data))
                    .and_then(|()| std::os::unix::fs::symlink(&blobs, data.join("blobs")))
                    .with_context(|| format!("cannot write into {}", memory.path().display()))?;
                data
            }
        };
        Ok(Config {
            include_private_addresses: true,
            circleci_orbs: crate::config::orbs(),
            shutdown_grace_s: 2,
            ..Config::in_dir(data)
        })
    }

    /// Removes everything, with build folders that a job made unreadable.
    pub(super) fn remove(self) {
        for folder in [Some(self.folder), self.memory].into_iter().flatten() {
            let path = folder.path().to_owned();
            if folder.close().is_err() {
                force(&path);
            }
        }
    }
}

fn make(root: &Path) -> std::io::Result<(tempfile::TempDir, File)> {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
    let lock = File::create(folder.path().join("lock"))?;
    lock.lock()?;
    Ok((folder, lock))
}

/// Removes folders whose process is gone: their lock is free.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Without a lock file the folder may be one that is just being made.
        if let Ok(lock) = File::open(path.join("lock"))
            && lock.try_lock().is_ok()
        {
            force(&path);
        }
    }
}

/// Removes a folder whatever the modes of the folders in it.
fn force(path: &Path) {
    if std::fs::remove_dir_all(path).is_ok() {
        return;
    }
    let mut folders: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|e| e.path()),
        );
    }
    let _ = std::fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_what_a_living_one_uses_stays() {
        let root = tempfile::tempdir().unwrap();
        let (living, _lock) = make(root.path()).unwrap();
        let (dead, lock) = make(root.path()).unwrap();
        let dead = dead.keep();
        std::fs::create_dir(dead.join("closed")).unwrap();
        std::fs::set_permissions(dead.join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        drop(lock);
        std::fs::create_dir(root.path().join("tasuki-exec-new")).unwrap();
        sweep(root.path());
        assert!(living.path().exists() && !dead.exists() && root.path().join("tasuki-exec-new").exists());
    }
}
