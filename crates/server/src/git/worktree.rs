//! Reading a repository that somebody works in: the folder of a local project, the folder `exec` is started in.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use sha1::Digest as _;
use tasuki_model::trigger::{Commit, GitRef};

use super::command::Call;
use super::object::hex;
use super::read::{last_commit, named_commit, refs, resolve};
use super::{Error, Git, Oid, Ref, TreeEntry, loose};

/// A checked-out repository as it stands now.
#[derive(Debug, Clone)]
pub struct Worktree {
    /// Top folder.
    pub root: PathBuf,
    /// The branch that is checked out; `None` with a detached HEAD.
    pub branch: Option<String>,
    /// The commit that is checked out; `None` before the first one.
    pub commit: Option<Commit>,
}

impl Worktree {
    /// Reads where HEAD stands: without git where its commit is in a file of its own, else by one small git call.
    ///
    /// # Errors
    /// `dir` is not inside a repository, or git fails.
    pub async fn read(git: &Git, dir: &Path) -> Result<Self, Error> {
        let root = top_level(dir)?;
        let commit = match loose::head(&root) {
            Some(commit) => Some(commit),
            None => named_commit(git, &root, "HEAD").await?,
        };
        Ok(Self {
            branch: branch(&root),
            commit,
            root,
        })
    }

    /// All branches and tags with the commits they lead to, sorted by name.
    ///
    /// # Errors
    /// `dir` is not inside a repository, or git fails.
    pub async fn refs(git: &Git, dir: &Path) -> Result<Vec<Ref>, Error> {
        refs(git, &top_level(dir)?).await
    }

    /// Files that belong to the folder's present state, relative to the root: tracked ones that still exist, and new
    /// ones that are not ignored. Sorted; submodules appear as their folder.
    ///
    /// # Errors
    /// Git fails, or there is no work tree.
    pub async fn files(&self, git: &Git) -> Result<Vec<PathBuf>, Error> {
        let options = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ];
        let list = Call::new("ls-files", &self.root, options);
        let gone = Call::new("ls-files", &self.root, ["ls-files", "-z", "--deleted"]);
        let (list, gone) = tokio::try_join!(git.bytes(list), git.bytes(gone))?;
        let gone: HashSet<_> = paths(&gone).collect();
        let mut files: Vec<_> = paths(&list).filter(|path| !gone.contains(path)).collect();
        files.sort();
        Ok(files)
    }

    /// The id that the present contents of each file have as a blob. Unchanged files take it from git's index, the
    /// others are read and hashed. Files that cannot be read are left out.
    ///
    /// # Errors
    /// Git fails.
    pub async fn blobs(&self, git: &Git) -> Result<Vec<TreeEntry>, Error> {
        let staged = Call::new("ls-files", &self.root, ["ls-files", "-z", "--stage"]);
        let dirty = Call::new("diff-files", &self.root, ["diff-files", "-z", "--name-only"]);
        let (files, staged, dirty) = tokio::try_join!(self.files(git), git.bytes(staged), git.bytes(dirty))?;
        let dirty: HashSet<_> = paths(&dirty).collect();
        let known: HashMap<_, _> = staged.split(|byte| *byte == 0).filter_map(staged_entry).collect();
        let all = files.iter().filter_map(|path| {
            let blob = match known.get(path) {
                Some(blob) if !dirty.contains(path) => blob.clone(),
                _ => hash_blob(&self.root.join(path))?,
            };
            Some(TreeEntry {
                path: path.to_string_lossy().into_owned(),
                blob,
            })
        });
        Ok(all.collect())
    }

    /// Paths whose present contents differ from the point where the history left `name`'s. `None`: there is no such
    /// ref, or nothing in common with it.
    ///
    /// # Errors
    /// Git fails.
    pub async fn changed_since(&self, git: &Git, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(other) = resolve(git, &self.root, name).await? else {
            return Ok(None);
        };
        let base = git
            .run(Call::new(
                "merge-base",
                &self.root,
                ["merge-base", other.as_str(), "HEAD"],
            ))
            .await?;
        let Ok(base) = String::from_utf8_lossy(&base.stdout).trim().parse::<Oid>() else {
            return Ok(None);
        };
        let tracked = ["diff-index", "-z", "--name-only", "--no-renames", base.as_str(), "--"];
        let new = ["ls-files", "-z", "--others", "--exclude-standard"];
        let (tracked, new) = tokio::try_join!(
            git.bytes(Call::new("diff-index", &self.root, tracked)),
            git.bytes(Call::new("ls-files", &self.root, new))
        )?;
        let both = paths(&tracked).chain(paths(&new));
        Ok(Some(both.map(|path| path.to_string_lossy().into_owned()).collect()))
    }

    /// The newest commit that changed a path; `None` where none did.
    ///
    /// # Errors
    /// Git fails.
    pub async fn last_commit(&self, git: &Git, path: &str) -> Result<Option<Oid>, Error> {
        last_commit(git, &self.root, "HEAD", path).await
    }

    /// The branch that others branch off: what `origin` calls so, or `main`, `master`, the present one.
    #[must_use]
    pub fn default_branch(&self) -> String {
        let Ok(common) = common_dir(&self.root) else {
            return "main".to_owned();
        };
        let origin = std::fs::read_to_string(common.join("refs/remotes/origin/HEAD")).ok();
        let origin = origin
            .as_deref()
            .and_then(|text| text.trim().strip_prefix("ref: refs/remotes/origin/"));
        let packed = std::fs::read_to_string(common.join("packed-refs")).unwrap_or_default();
        let exists = |name: &&str| {
            let full = format!("refs/heads/{name}");
            common.join(&full).is_file() || packed.lines().any(|line| line.split(' ').nth(1) == Some(&full))
        };
        let usual = ["main", "master"].into_iter().find(exists);
        origin.or(usual).or(self.branch.as_deref()).unwrap_or("main").to_owned()
    }

    /// What a pipeline of this folder builds: the branch, or `HEAD` where none is checked out.
    #[must_use]
    pub fn git_ref(&self) -> GitRef {
        GitRef::Branch(self.branch.clone().unwrap_or_else(|| "HEAD".to_owned()))
    }
}

/// `100644 <id> 0<TAB>path`
fn staged_entry(entry: &[u8]) -> Option<(PathBuf, String)> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let (meta, name) = entry.split_at(tab);
    let blob = std::str::from_utf8(meta).ok()?.split(' ').nth(1)?;
    Some((
        PathBuf::from(std::ffi::OsStr::from_bytes(name.get(1..)?)),
        blob.to_owned(),
    ))
}

/// The id that git would give the file; of a symbolic link that of its target's name.
pub(crate) fn hash_blob(path: &Path) -> Option<String> {
    let content = match std::fs::symlink_metadata(path).ok()? {
        meta if meta.is_symlink() => std::fs::read_link(path).ok()?.into_os_string().into_vec(),
        meta if meta.is_file() => std::fs::read(path).ok()?,
        _ => return None,
    };
    let mut hash = sha1::Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(&content);
    Some(hex(&hash.finalize()))
}

fn paths(raw: &[u8]) -> impl Iterator<Item = PathBuf> {
    let names = raw.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

/// Makes a repository of a folder and commits all its files.
///
/// # Errors
/// Git fails.
pub async fn init(git: &Git, dir: &Path, message: &str) -> Result<(), Error> {
    let who = [
        "-c",
        "user.name=tasuki",
        "-c",
        "user.email=tasuki@localhost",
        "-c",
        "init.defaultBranch=main",
    ];
    let call = |what, args: &[&str]| {
        Call::new(
            what,
            dir,
            who.iter().chain(args).map(|arg| (*arg).to_owned()).collect::<Vec<_>>(),
        )
    };
    git.bytes(call("init", &["init", "--quiet", "--template="])).await?;
    git.bytes(call("add", &["add", "--all"])).await?;
    git.bytes(call(
        "commit",
        &["commit", "--quiet", "--no-verify", "--message", message],
    ))
    .await
    .map(drop)
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

/// The folder of what the work tree at `root` has of its own: HEAD, the index.
pub(super) fn git_dir(root: &Path) -> Result<PathBuf, Error> {
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
#[must_use]
pub fn branch(root: &Path) -> Option<String> {
    let head = std::fs::read_to_string(git_dir(root).ok()?.join("HEAD")).ok()?;
    head.trim_end().strip_prefix("ref: refs/heads/").map(str::to_owned)
}
