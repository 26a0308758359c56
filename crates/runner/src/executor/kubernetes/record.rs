//! What is written down before it is made in a cluster, so that a crash leaves nothing that nobody finds.
//!
//! A file for each sandbox, whose lock ends with the process that made it, however it ends. Names are enough to delete by: the
//! account needs no permission to list what is in a namespace.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::executor::{Error, Result};

/// Ending of a record.
const ENDING: &str = "json";

/// Names of what a sandbox may have in a cluster. Services and budgets are owned by their pod from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Written {
    /// Address of the cluster's API.
    pub(super) cluster: String,
    pub(super) namespace: String,
    /// The namespace is the sandbox's own.
    pub(super) own_namespace: bool,
    pub(super) pods: Vec<String>,
    pub(super) secrets: Vec<String>,
    /// Of pause pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deployments: Vec<String>,
}

/// A record that this process holds.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    written: Written,
    lock: File,
}

fn failed(error: io::Error) -> Error {
    Error::system("write down what is made in the cluster", error)
}

impl Record {
    /// Writes it down. `name` is the sandbox's own.
    pub(super) fn create(folder: &Path, name: &str, written: Written) -> Result<Self> {
        let path = folder.join(format!("{name}.{ENDING}"));
        let lock = fs::create_dir_all(folder)
            .and_then(|()| write_locked(&path, &written))
            .map_err(failed)?;
        Ok(Self { path, written, lock })
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// Writes more down.
    pub(super) fn add(&mut self, change: impl FnOnce(&mut Written)) -> Result<()> {
        change(&mut self.written);
        self.lock = write_locked(&self.path, &self.written).map_err(failed)?;
        Ok(())
    }

    /// Nothing of it is left.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(failed)
    }
}

/// Whoever sees the file sees a whole record, which the answer holds locked.
fn write_locked(path: &Path, written: &Written) -> io::Result<File> {
    let draft = path.with_extension("draft");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    serde_json::to_writer(&lock, written)?;
    fs::rename(&draft, path)?;
    Ok(lock)
}

/// Records of processes that are gone, locked for us.
pub(super) fn abandoned(folder: &Path, cluster: &str) -> Result<Vec<Record>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        // A record that was replaced meanwhile is its process's own.
        let same = fs::metadata(&path).is_ok_and(|now| {
            use std::os::unix::fs::MetadataExt as _;
            lock.metadata().is_ok_and(|locked| locked.ino() == now.ino())
        });
        match serde_json::from_reader::<_, Written>(&lock) {
            Ok(written) if same && written.cluster == cluster => found.push(Record { path, written, lock }),
            Ok(_) => {}
            Err(error) => tracing::warn!(record = %path.display(), %error, "a record cannot be read"),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_dead_processes_and_of_the_cluster_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = |cluster: &str| Written {
            cluster: cluster.to_owned(),
            namespace: "ci".to_owned(),
            ..Written::default()
        };
        let mut alive = Record::create(folder.path(), "alive", written("a")).expect("is written");
        alive
            .add(|written| written.pods.push("p".to_owned()))
            .expect("is written");
        drop(Record::create(folder.path(), "dead", written("a")).expect("is written"));
        drop(Record::create(folder.path(), "other", written("b")).expect("is written"));
        fs::write(folder.path().join("broken.json"), "{").expect("is written");
        let found = abandoned(folder.path(), "a").expect("is looked for");
        assert_eq!(found.len(), 1);
        assert!(
            abandoned(folder.path(), "a").expect("is looked for").is_empty(),
            "it is held by the first"
        );
        for record in found {
            assert_eq!(record.written(), &written("a"));
            record.remove().expect("is removed");
        }
        drop(alive);
        let found = abandoned(folder.path(), "a").expect("is looked for");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].written().pods, ["p"]);
        assert!(
            abandoned(&folder.path().join("none"), "a")
                .expect("is looked for")
                .is_empty()
        );
    }
}
