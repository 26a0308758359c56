//! What is written down before a sandbox is made, so that a crash leaves nothing that cannot be found.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tasuki_model::id::TaskId;

use super::folders::{Folders, clone_path_taken};
use crate::executor::{Error, Result};
use crate::process::Cgroup;

const FOLDER: &str = ".tasuki";
const ENDING: &str = "json";

/// A record file, locked for as long as this value lives. The lock ends with the process, however it ends.
#[derive(Debug)]
pub(super) struct Record {
    sandbox: String,
    path: PathBuf,
    lock: File,
}

/// What a record holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Old {
    pub(super) project: PathBuf,
    pub(super) temp: PathBuf,
    pub(super) cgroup: Option<PathBuf>,
}

impl Record {
    /// Writes a new record for these folders. Nothing else has this `marker`.
    pub(super) fn create(builds: &Path, task: TaskId, marker: &str, folders: &Folders) -> Result<Self> {
        let failed = |error: io::Error| Error::system("write down the new sandbox", error);
        let folder = builds.join(FOLDER);
        let sandbox = format!("{task}-{marker}");
        let path = folder.join(&sandbox).with_extension(ENDING);
        // Locked and filled under another name: whoever sees the final one sees a locked, whole record.
        let draft = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let lock = match options.open(&draft) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder).map_err(failed)?;
                options.open(&draft)
            }
            other => other,
        }
        .map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        let mut record = Self { sandbox, path, lock };
        record.write(folders, None).map_err(failed)?;
        fs::rename(&draft, &record.path).map_err(failed)?;
        Ok(record)
    }

    /// Adds the cgroup.
    pub(super) fn save(&mut self, folders: &Folders, cgroup: Option<&Cgroup>) -> Result<()> {
        match cgroup {
            Some(_) => self
                .write(folders, cgroup)
                .map_err(|error| Error::system("write down the new sandbox", error)),
            None => Ok(()),
        }
    }

    fn write(&mut self, folders: &Folders, cgroup: Option<&Cgroup>) -> io::Result<()> {
        let old = Old {
            project: folders.project.clone(),
            temp: folders.temp.clone(),
            cgroup: cgroup.map(|cgroup| cgroup.dir().to_owned()),
        };
        let text = serde_json::to_vec(&old)?;
        // The new text is longer than the old: there is no moment at which the file is empty.
        rustix::fs::seek(&self.lock, rustix::fs::SeekFrom::Start(0))?;
        self.lock.write_all(&text)
    }

    /// Id of the sandbox: the task's, and the marker.
    pub(super) fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// What the environment of its programs is marked with.
    pub(super) fn marker(&self) -> &str {
        self.sandbox.rsplit('-').next().unwrap_or_default()
    }

    /// The sandbox is gone.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(record = %self.path.display(), %error, "cannot remove the record of a sandbox");
        }
    }
}

/// Records whose runner is gone, locked for us. One that names the folder of a living sandbox (its runner died while it
/// noticed that the folder was taken) is removed and not returned.
pub(super) fn abandoned(builds: &Path) -> Result<Vec<(Record, Old)>> {
    let entries = match fs::read_dir(builds.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| Error::system("read the records of sandboxes", error))?,
    };
    let (mut found, mut living) = (Vec::new(), Vec::new());
    for path in entries.flatten().map(|entry| entry.path()) {
        match lock_abandoned(&path) {
            Some(lock) => {
                let Some(old) = read(&lock, &path) else { continue };
                let sandbox = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                found.push((Record { sandbox, path, lock }, old));
            }
            None => living.extend(
                File::open(&path)
                    .ok()
                    .and_then(|file| read(&file, &path))
                    .map(|old| old.project),
            ),
        }
    }
    let (doubtful, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, old)| living.contains(&old.project));
    doubtful.into_iter().for_each(|(record, _)| record.remove());
    Ok(found)
}

/// The file, if nobody alive holds it. A draft never had folders: it is removed here.
fn lock_abandoned(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    if path.extension().is_some_and(|ending| ending == ENDING) {
        // Its owner may have removed it between our opening and locking.
        return path.exists().then_some(file);
    }
    let old_enough = file
        .metadata()
        .ok()?
        .modified()
        .ok()?
        .elapsed()
        .is_ok_and(|age| age.as_secs() > 60);
    if old_enough {
        let _ = fs::remove_file(path);
    }
    None
}

fn read(mut file: &File, path: &Path) -> Option<Old> {
    let mut text = String::new();
    let parsed = file
        .read_to_string(&mut text)
        .map_err(serde_json::Error::io)
        .and_then(|_| {
            serde_json::Deserializer::from_str(&text)
                .into_iter::<Old>()
                .next()
                .transpose()
        });
    match parsed {
        Ok(Some(old)) => Some(old),
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(record = %path.display(), %error, "an unreadable record of a sandbox is left alone");
            None
        }
    }
}

/// Makes sure that nothing is where `folders` are to be made: what a dead runner left there is removed. What a
/// living one uses is an error, and so is a folder that the job `named` itself and that no runner made.
pub(super) fn clear_old(builds: &Path, folders: &Folders, own: &Record, named: bool) -> Result<()> {
    if !folders.exist() {
        return Ok(());
    }
    let mut known = false;
    let entries = fs::read_dir(builds.join(FOLDER)).map_err(|error| Error::system("read the records", error))?;
    for path in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| *path != own.path)
    {
        let Ok(file) = File::open(&path) else { continue };
        let Some(old) = read(&file, &path) else { continue };
        known |= old.project == folders.project;
        let touches = old.project.starts_with(&folders.project) || folders.project.starts_with(&old.project);
        let held = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
        if touches && held {
            let what = format!("use the workspace {}", folders.project.display());
            return Err(Error::system(
                what,
                "another runner process with the same token and builds_dir uses it",
            ));
        }
    }
    if named && !known {
        return Err(clone_path_taken(&folders.project));
    }
    folders.remove()
}
