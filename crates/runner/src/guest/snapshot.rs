//! The source of `tasuki exec`: a copy of a dirty folder, made in milliseconds and without a process.
//!
//! Copied are tracked files as they are now, and untracked ones that no ignore rule names; by reference (reflink)
//! where the file system can, never as hard links, so that a job cannot reach the original. The copy's `.git` borrows
//! the original's objects (`alternates`) and has its own index, refs and `HEAD`: `git status`, `describe` and `log`
//! work, and what the job commits stays in the copy.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;

use super::error::{Error, Result};
use super::git::repository::{self, Repository};
use super::{Context, Report, Snapshot};

/// From this many files on several threads copy: below, starting them costs more than it saves.
const PARALLEL_FROM: usize = 512;

/// Copies the folder.
pub(super) fn snapshot(request: &Snapshot, context: &Context) -> Result<Report> {
    let from = &request.from;
    let repository = Repository::of(from);
    let files = list(from, repository.as_ref())?;
    fs::create_dir_all(&request.project).map_err(Error::io("make the project folder"))?;
    let copy = Copy {
        from,
        to: &request.project,
        reflinks: AtomicBool::new(true),
        files: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    for folder in folders {
        fs::create_dir_all(request.project.join(folder)).map_err(Error::io("make a folder of the copy"))?;
    }
    let one = |file: &PathBuf| {
        if context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        copy.file(file)
            .map_err(Error::io(format!("copy {}", from.join(file).display())))
    };
    if files.len() < PARALLEL_FROM {
        files.iter().try_for_each(one)?;
    } else {
        files.par_iter().try_for_each(one)?;
    }
    if let Some(repository) = repository {
        light_git(&repository, request).map_err(Error::io("write the copy's .git"))?;
    }
    Ok(Report {
        files: copy.files.into_inner(),
        bytes: copy.bytes.into_inner(),
        ..Report::default()
    })
}

/// Tracked files, and others that are not ignored, relative to `from`.
fn list(from: &Path, repository: Option<&Repository>) -> Result<BTreeSet<PathBuf>> {
    let mut files: BTreeSet<PathBuf> = match repository {
        Some(repository) => repository
            .tracked()
            .ok_or_else(|| Error::job(format!("the index of {} cannot be read", from.display())))?
            .into_iter()
            .filter(|entry| !entry.is_submodule)
            .map(|entry| entry.path)
            .collect(),
        None => BTreeSet::new(),
    };
    let walk = ignore::WalkBuilder::new(from)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in walk {
        // A file that vanished, a folder that cannot be read: not part of what the user sees.
        let Ok(entry) = entry else { continue };
        if entry
            .file_type()
            .is_some_and(|kind| kind.is_file() || kind.is_symlink())
            && let Ok(relative) = entry.path().strip_prefix(from)
        {
            files.insert(relative.to_owned());
        }
    }
    // Where a tracked folder has become a link or a file, what was tracked below it is gone.
    let gone: Vec<PathBuf> = files
        .iter()
        .filter(|file| file.ancestors().skip(1).any(|above| files.contains(above)))
        .cloned()
        .collect();
    for file in gone {
        files.remove(&file);
    }
    Ok(files)
}

struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    /// Whether the file system was not yet seen to refuse one.
    reflinks: AtomicBool,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Copy<'_> {
    fn file(&self, relative: &Path) -> io::Result<()> {
        let (from, to) = (self.from.join(relative), self.to.join(relative));
        let found = match fs::symlink_metadata(&from) {
            Ok(found) => found,
            // Tracked, but deleted in the work tree.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if found.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from)?, &to)?;
        } else if found.is_file() {
            let source = File::open(&from)?;
            let mode = found.permissions().mode() & 0o777;
            let target = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode | 0o200)
                .open(&to)?;
            self.contents(&source, &target, found.len())?;
            // So that build tools see what did not change.
            target.set_modified(found.modified()?)?;
            if mode & 0o200 == 0 {
                target.set_permissions(fs::Permissions::from_mode(mode))?;
            }
        } else {
            // A folder where a file is tracked; a socket or a pipe.
            return Ok(());
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(found.len(), Ordering::Relaxed);
        Ok(())
    }

    /// No more than `length`: a log that our own output goes to would never end.
    fn contents(&self, source: &File, mut target: &File, length: u64) -> io::Result<()> {
        if self.reflinks.load(Ordering::Relaxed) {
            if rustix::fs::ioctl_ficlone(target, source).is_ok() {
                return Ok(());
            }
            self.reflinks.store(false, Ordering::Relaxed);
        }
        io::copy(&mut source.take(length), &mut target).map(drop)
    }
}

fn light_git(original: &Repository, request: &Snapshot) -> io::Result<()> {
    let git = request.project.join(".git");
    let settings = [
        ("remote \"origin\"", "url", request.from.to_string_lossy().into_owned()),
        (
            "remote \"origin\"",
            "fetch",
            "+refs/heads/*:refs/remotes/origin/*".to_owned(),
        ),
        ("gc", "auto", "0".to_owned()),
        // Only inode and change time of the copies differ: without these, git would read every file again.
        ("core", "checkStat", "minimal".to_owned()),
        ("core", "trustctime", "false".to_owned()),
    ];
    repository::init(&git, original.is_sha256(), &settings)?;
    let objects = fs::canonicalize(original.objects())?;
    fs::write(git.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
    let mut packed = String::new();
    for (name, id) in original.refs() {
        // As in a checkout of the server: branches are the remote's.
        let name = match name.strip_prefix("refs/heads/") {
            Some(branch) => format!("refs/remotes/origin/{branch}"),
            None if name.starts_with("refs/tags/") => name,
            None => continue,
        };
        packed.push_str(&format!("{id} {name}\n"));
    }
    fs::write(git.join("packed-refs"), packed)?;
    let head = if request.sha.is_empty() {
        original.head()
    } else {
        Some(request.sha.clone())
    };
    if let Some(head) = head {
        fs::write(git.join("HEAD"), format!("{head}\n"))?;
    }
    let shallow = original.common().join("shallow");
    if shallow.exists() {
        fs::copy(shallow, git.join("shallow"))?;
    }
    for entry in fs::read_dir(original.git_dir())?.flatten() {
        let name = entry.file_name();
        if name == "index" || name.to_string_lossy().starts_with("sharedindex.") {
            fs::copy(entry.path(), git.join(name))?;
        }
    }
    Ok(())
}
