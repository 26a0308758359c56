//! Knowing at once when a ref of a local repository moves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tasuki_model::id::ProjectId;
use tokio::sync::mpsc;
use tracing::warn;

use crate::git::common_dir;

/// File systems that do not tell this machine what others change: NFS, SMB (three numbers), FUSE, 9p.
const SILENT: &[u64] = &[0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997];

/// What the kernel reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    /// Something below this project's refs changed.
    Moved(ProjectId),
    /// Reports were lost: anything may have changed.
    Anything,
}

/// How a folder is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Following {
    /// The kernel reports changes.
    Reports,
    /// It cannot: the refs have to be looked at from time to time.
    Looks,
}

/// One watch of the kernel for all local projects.
pub(super) struct Watcher {
    watched: std::sync::Arc<Mutex<Watched>>,
    hints: Mutex<Option<mpsc::UnboundedReceiver<Hint>>>,
    kernel: Mutex<Option<RecommendedWatcher>>,
}

#[derive(Default)]
struct Watched {
    /// Folder of refs → project.
    folders: HashMap<PathBuf, Vec<ProjectId>>,
}

impl Watcher {
    pub(super) fn new() -> Self {
        let watched = std::sync::Arc::new(Mutex::new(Watched::default()));
        let (send, receive) = mpsc::unbounded_channel();
        let known = std::sync::Arc::clone(&watched);
        let kernel = notify::recommended_watcher(move |event| report(&known, &send, event));
        let kernel = kernel
            .inspect_err(|error| warn!(%error, "no inotify: local folders are looked at every 2 s"))
            .ok();
        Self {
            watched,
            hints: Mutex::new(Some(receive)),
            kernel: Mutex::new(kernel),
        }
    }

    /// The reports, for the one loop that works on them.
    pub(super) fn hints(&self) -> Option<mpsc::UnboundedReceiver<Hint>> {
        lock(&self.hints).take()
    }

    /// Follows the refs of the repository at `root` from now on.
    pub(super) fn follow(&self, project: ProjectId, root: &Path) -> Following {
        let Ok(common) = common_dir(root).map(|dir| dir.canonicalize().unwrap_or(dir)) else {
            return Following::Looks;
        };
        lock(&self.watched)
            .folders
            .entry(common.clone())
            .or_default()
            .push(project);
        if is_silent(&common) {
            return Following::Looks;
        }
        let mut kernel = lock(&self.kernel);
        let Some(kernel) = kernel.as_mut() else {
            return Following::Looks;
        };
        // HEAD and packed-refs lie in the folder itself, loose refs below `refs`, newer formats below `reftable`.
        let parts = [
            (common.clone(), RecursiveMode::NonRecursive),
            (common.join("refs"), RecursiveMode::Recursive),
            (common.join("reftable"), RecursiveMode::NonRecursive),
        ];
        for (path, mode) in parts.iter().filter(|(path, _)| path.is_dir()) {
            if let Err(error) = kernel.watch(path, *mode) {
                warn!(%error, folder = %path.display(), "cannot be watched (raise fs.inotify.max_user_watches); looked at every 2 s");
                return Following::Looks;
            }
        }
        Following::Reports
    }

    /// Follows the project's folder no longer.
    pub(super) fn forget(&self, project: ProjectId) {
        let mut watched = lock(&self.watched);
        let mut empty = Vec::new();
        for (folder, projects) in &mut watched.folders {
            projects.retain(|other| *other != project);
            if projects.is_empty() {
                empty.push(folder.clone());
            }
        }
        for folder in empty {
            watched.folders.remove(&folder);
            if let Some(kernel) = lock(&self.kernel).as_mut() {
                for path in [folder.clone(), folder.join("refs"), folder.join("reftable")] {
                    // What was never watched need not be forgotten.
                    let _ = kernel.unwatch(&path);
                }
            }
        }
    }
}

fn report(watched: &Mutex<Watched>, send: &mpsc::UnboundedSender<Hint>, event: notify::Result<notify::Event>) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            warn!(%error, "reports of the kernel were lost");
            let _ = send.send(Hint::Anything);
            return;
        }
    };
    if event.need_rescan() {
        let _ = send.send(Hint::Anything);
        return;
    }
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    let watched = lock(watched);
    for path in event.paths.iter().filter(|path| tells_of_refs(path)) {
        for folder in path.ancestors() {
            for project in watched.folders.get(folder).into_iter().flatten() {
                // The loop has ended when nobody listens: the server stops.
                let _ = send.send(Hint::Moved(*project));
            }
        }
    }
}

/// Locks and the many other files of a repository's folder say nothing of refs.
fn tells_of_refs(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let below = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
    !name.ends_with(".lock") && (matches!(name, "HEAD" | "packed-refs") || below("refs") || below("reftable"))
}

fn is_silent(path: &Path) -> bool {
    rustix::fs::statfs(path)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| SILENT.contains(&(kind & 0xffff_ffff))))
}

/// A digest of all branches and tags of a repository, read without starting a program: the same as long as none moved.
pub(super) fn fingerprint(root: &Path) -> Option<[u8; 32]> {
    let common = common_dir(root).ok()?;
    let mut files: Vec<PathBuf> = ["HEAD", "packed-refs", "reftable/tables.list"]
        .iter()
        .map(|name| common.join(name))
        .collect();
    collect(&common.join("refs/heads"), &mut files);
    collect(&common.join("refs/tags"), &mut files);
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        if let Ok(text) = std::fs::read(&file) {
            hash.update(file.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(text);
            hash.update([0]);
        }
    }
    Some(hash.finalize().into())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), files);
        } else if entry.path().extension().is_none_or(|extension| extension != "lock") {
            files.push(entry.path());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
