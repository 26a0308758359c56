//! Reading a repository that somebody works in: the folder of a local project, the folder `exec` is started in.

use std::path::{Path, PathBuf};

use tasuki_model::trigger::{Commit, GitRef};

use super::command::Call;
use super::read::named_commit;
use super::{Error, Git};

/// A checked-out repository as it stands now.
#[derive(Debug, Clone)]
pub struct Worktree {
    /// Top folder.
    pub root: PathBuf,
    /// The branch that is checked out; `None` with a detached HEAD.
    pub branch: Option<String>,
    /// The commit that is checked out; `None` before the first one.
    pub commit: Option<Commit>,
    /// Files that belong to the folder's present state, relative to `root`: tracked ones that still exist, and new
    /// ones that are not ignored. Sorted; submodules appear as their folder.
    pub files: Vec<PathBuf>,
}

impl Worktree {
    /// Reads the folder. Three small git calls that run at the same time.
    ///
    /// # Errors
    /// `dir` is not inside a repository with a work tree, or git fails.
    pub async fn read(git: &Git, dir: &Path) -> Result<Self, Error> {
        let root = top_level(dir)?;
        let list = Call::new(
            "ls-files",
            &root,
            [
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
                "--deduplicate",
            ],
        );
        let gone = Call::new("ls-files", &root, ["ls-files", "-z", "--deleted"]);
        let (commit, list, gone) =
            tokio::try_join!(named_commit(git, &root, "HEAD"), git.bytes(list), git.bytes(gone))?;
        let gone: std::collections::HashSet<_> = paths(&gone).collect();
        let mut files: Vec<_> = paths(&list).filter(|path| !gone.contains(path)).collect();
        files.sort();
        Ok(Self {
            branch: branch(&root),
            commit,
            files,
            root,
        })
    }

    /// What a pipeline of this folder builds: the branch, or `HEAD` where none is checked out.
    #[must_use]
    pub fn git_ref(&self) -> GitRef {
        GitRef::Branch(self.branch.clone().unwrap_or_else(|| "HEAD".to_owned()))
    }
}

#[cfg(unix)]
fn paths(raw: &[u8]) -> impl Iterator<Item = PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let names = raw.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

/// The nearest folder at or above `dir` that holds `.git`, or `dir` itself where it is a bare repository.
///
/// # Errors
/// There is none.
pub fn top_level(dir: &Path) -> Result<PathBuf, Error> {
    let start = dir.canonicalize().map_err(Error::file("open", dir))?;
    let found = start
        .ancestors()
        .find(|folder| folder.join(".git").exists() || is_bare(folder));
    found
        .map(Path::to_owned)
        .ok_or_else(|| Error::NotARepository(dir.to_owned()))
}

fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// The folder that holds the refs of the repository whose top folder is `root`: follows the `gitdir:` file of linked
/// work trees and submodules and the `commondir` file behind it.
///
/// # Errors
/// The files that lead there cannot be read.
pub fn common_dir(root: &Path) -> Result<PathBuf, Error> {
    let own = git_dir(root)?;
    match std::fs::read_to_string(own.join("commondir")) {
        Ok(text) => {
            let common = own.join(text.trim_end());
            common.canonicalize().map_err(Error::file("open", common))
        }
        Err(_) => Ok(own),
    }
}

fn git_dir(root: &Path) -> Result<PathBuf, Error> {
    let entry = root.join(".git");
    if entry.is_dir() {
        return Ok(entry);
    }
    if !entry.exists() && is_bare(root) {
        return Ok(root.to_owned());
    }
    let text = std::fs::read_to_string(&entry).map_err(Error::file("read", &entry))?;
    let target = text
        .trim_end()
        .strip_prefix("gitdir: ")
        .ok_or_else(|| Error::NotARepository(root.to_owned()))?;
    Ok(root.join(target))
}

/// The checked-out branch, read from HEAD without starting a program.
fn branch(root: &Path) -> Option<String> {
    let head = std::fs::read_to_string(git_dir(root).ok()?.join("HEAD")).ok()?;
    head.trim_end().strip_prefix("ref: refs/heads/").map(str::to_owned)
}
