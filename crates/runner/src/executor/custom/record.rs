//! What is written down before a driver is called, so that a crash leaves no place that nobody cleans up.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tasuki_model::id::TaskId;

use crate::executor::{Error, Result, unique};

const NAME: &str = "record.json";
const DRAFT: &str = "record.new";

/// How old a folder without a record is when its runner is taken for dead.
const DRAFT_AGE_S: u64 = 60;

/// A folder of our own for one sandbox: the record, scripts, the driver's `TMPDIR`. The record's lock ends with this
/// value, and with the process, however it ends.
#[derive(Debug)]
pub(super) struct Record {
    sandbox: String,
    folder: PathBuf,
    lock: File,
}

/// What `cleanup_exec` needs. Holds no secret of the job.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Written {
    /// Empty: there is none to call.
    pub(super) cleanup: Vec<String>,
    pub(super) timeout_s: Option<u64>,
    pub(super) env: Vec<(String, String)>,
}

impl Record {
    /// Makes the folder and writes into it.
    pub(super) fn create(state: &Path, task: TaskId, written: &Written) -> Result<Self> {
        let sandbox = format!("{task}-{}", unique()?);
        let folder = state.join(&sandbox);
        let made = || -> io::Result<File> {
            fs::create_dir_all(state)?;
            let mut private = DirBuilder::new();
            private.mode(0o700).create(&folder)?;
            private.create(folder.join("tmp"))?;
            write_locked(&folder, written)
        };
        let lock = made().map_err(|error| Error::system("write down the new sandbox", error))?;
        Ok(Self { sandbox, folder, lock })
    }

    /// Replaces what is written.
    pub(super) fn update(&mut self, written: &Written) -> Result<()> {
        self.lock =
            write_locked(&self.folder, written).map_err(|error| Error::system("write down the new sandbox", error))?;
        Ok(())
    }

    /// Id of the sandbox: in the marker of its processes.
    pub(super) fn sandbox(&self) -> &str {
        &self.sandbox
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file that only the runner's user may read, and execute.
    pub(super) fn put(&self, name: &str, mode: u32, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.file(name);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| Error::system(format!("write {}", path.display()), error))?;
        Ok(path)
    }

    /// The sandbox is gone: the folder goes too.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .map_err(|error| Error::system(format!("remove {}", self.folder.display()), error))
    }
}

/// Writes the record of a folder: whoever sees its name sees a whole record that the answer holds locked.
fn write_locked(folder: &Path, written: &Written) -> io::Result<File> {
    let draft = folder.join(DRAFT);
    let mut lock = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    lock.write_all(&serde_json::to_vec(written)?)?;
    fs::rename(&draft, folder.join(NAME))?;
    Ok(lock)
}

/// Names of all records, those of living runners too.
pub(super) fn names(state: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = folders(state)?
        .into_iter()
        .filter(|folder| folder.join(NAME).exists())
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Records whose runner is gone, locked for us.
pub(super) fn abandoned(state: &Path) -> Result<Vec<(Record, Written)>> {
    let mut found = Vec::new();
    for folder in folders(state)? {
        let Some(lock) = lock_abandoned(&folder) else { continue };
        let written = match read(&lock) {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(record = %folder.display(), %error, "an unreadable record of a sandbox is left alone");
                continue;
            }
        };
        let sandbox = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push((Record { sandbox, folder, lock }, written));
    }
    Ok(found)
}

fn folders(state: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::system("read the records of sandboxes", error)),
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
    }
}

fn lock_abandoned(folder: &Path) -> Option<File> {
    let path = folder.join(NAME);
    let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else {
        let age = fs::metadata(folder).ok()?.modified().ok()?.elapsed().ok()?;
        if age.as_secs() > DRAFT_AGE_S {
            // No program was called for it.
            let _ = fs::remove_dir_all(folder);
        }
        return None;
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    // Its owner may have removed or replaced it between our opening and locking.
    let same = rustix::fs::stat(&path).is_ok_and(|now| {
        rustix::fs::fstat(&file).is_ok_and(|ours| (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino))
    });
    same.then_some(file)
}

fn read(mut file: &File) -> io::Result<Written> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_once_its_runner_is_gone() {
        let state = tempfile::tempdir().unwrap();
        let at = state.path().join("custom");
        assert!(abandoned(&at).unwrap().is_empty() && names(&at).unwrap().is_empty());
        let mut record = Record::create(&at, TaskId(5), &Written::default()).unwrap();
        let cleanup = vec!["clean".to_owned()];
        let written = Written {
            cleanup: cleanup.clone(),
            ..Written::default()
        };
        record.update(&written).unwrap();
        assert!(abandoned(&at).unwrap().is_empty(), "it lives");
        assert_eq!(names(&at).unwrap(), [record.sandbox()]);
        drop(record);
        let mut found = abandoned(&at).unwrap();
        assert!(abandoned(&at).unwrap().is_empty(), "we hold it");
        let (record, read) = found.pop().unwrap();
        assert_eq!(read.cleanup, cleanup);
        record.remove().unwrap();
        assert!(names(&at).unwrap().is_empty());
    }
}
