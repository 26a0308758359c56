//! Where the parts of a repository are, its refs, and how a new one is written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::index;

/// A repository on disk.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// `.git`, or the folder that a worktree's `.git` file names: `HEAD`, `index`.
    git: PathBuf,
    /// What worktrees share: objects, refs, configuration.
    common: PathBuf,
}

impl Repository {
    /// The repository of a work tree's top folder.
    pub(crate) fn of(work_tree: &Path) -> Option<Self> {
        let dot_git = work_tree.join(".git");
        let git = match fs::read_to_string(&dot_git) {
            Ok(text) => work_tree.join(text.strip_prefix("gitdir:")?.trim()),
            Err(_) => dot_git,
        };
        if !git.join("HEAD").exists() {
            return None;
        }
        let common = match fs::read_to_string(git.join("commondir")) {
            Ok(text) => git.join(text.trim()),
            Err(_) => git.clone(),
        };
        Some(Self { git, common })
    }

    pub(crate) fn git_dir(&self) -> &Path {
        &self.git
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    pub(crate) fn common(&self) -> &Path {
        &self.common
    }

    /// `sha256` repositories say so in their configuration.
    pub(crate) fn is_sha256(&self) -> bool {
        fs::read_to_string(self.common.join("config")).is_ok_and(|text| {
            text.lines().any(|line| {
                let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
                line.eq_ignore_ascii_case("objectformat=sha256")
            })
        })
    }

    /// Tracked paths. Empty when there is no index yet; `None` when it cannot be read.
    pub(crate) fn tracked(&self) -> Option<Vec<index::Entry>> {
        match fs::read(self.git.join("index")) {
            Ok(bytes) => index::parse(&bytes, if self.is_sha256() { 32 } else { 20 }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Vec::new()),
            Err(_) => None,
        }
    }

    /// The commit of `HEAD`.
    pub(crate) fn head(&self) -> Option<String> {
        let text = fs::read_to_string(self.git.join("HEAD")).ok()?;
        match text.trim().strip_prefix("ref:") {
            None => Some(text.trim().to_owned()),
            Some(name) => self.refs().remove(name.trim()),
        }
    }

    /// All branches, remote branches and tags. (A repository with the `reftable` format shows none.)
    pub(crate) fn refs(&self) -> BTreeMap<String, String> {
        let packed = fs::read_to_string(self.common.join("packed-refs")).unwrap_or_default();
        let mut refs: BTreeMap<String, String> = packed
            .lines()
            .filter(|line| !line.starts_with(['#', '^']))
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect();
        let mut folders = vec![PathBuf::from("refs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.common.join(&folder)).into_iter().flatten().flatten() {
                let name = folder.join(entry.file_name());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(name);
                } else if let (Ok(text), Some(name)) = (fs::read_to_string(entry.path()), name.to_str())
                    && !text.starts_with("ref:")
                {
                    refs.insert(name.to_owned(), text.trim().to_owned());
                }
            }
        }
        refs
    }
}

/// Writes an empty repository: what `git init` does with an empty template, without a process.
pub(crate) fn init(git: &Path, sha256: bool, settings: &[(&str, &str, String)]) -> io::Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        fs::create_dir_all(git.join(folder))?;
    }
    fs::write(git.join("HEAD"), "ref: refs/heads/main\n")?;
    write_config(git, sha256, settings)
}

/// Writes the whole configuration: nothing of an old one stays.
pub(crate) fn write_config(git: &Path, sha256: bool, settings: &[(&str, &str, String)]) -> io::Result<()> {
    let version = i32::from(sha256);
    let mut text = format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
    );
    if sha256 {
        text.push_str("[extensions]\n\tobjectformat = sha256\n");
    }
    for (section, key, value) in settings {
        text.push_str(&format!("[{section}]\n\t{key} = {}\n", quote(value)));
    }
    fs::write(git.join("config"), text)
}

/// A value or subsection name in git's configuration syntax.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
