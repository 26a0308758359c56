//! Reading a mirror: files, trees, commits, differences.

use std::path::Path;

use tasuki_model::trigger::{Commit, GitRef};

use super::command::{Call, failed};
use super::object::{parse_commit, parse_tag_message};
use super::{Error, Git, Mirror, Oid};

/// Largest text that one call for files may give in all.
const FILES_LIMIT: usize = 320 << 20;

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub path: String,
    /// Id of the contents.
    pub blob: String,
}

/// What `cat-file --batch` says about one object.
enum Found<'a> {
    Missing,
    Object { id: &'a str, kind: &'a str, body: &'a [u8] },
}

/// What stands at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtPath {
    File(Vec<u8>),
    Folder,
    Nothing,
}

impl Mirror {
    /// The commit that a ref, tag or abbreviated id leads to.
    ///
    /// # Errors
    /// Git fails; a name that leads nowhere is `None`.
    pub async fn resolve(&self, name: &str) -> Result<Option<Oid>, Error> {
        resolve(&self.git, &self.dir, name).await
    }

    /// Title, author, time of a commit, and of an annotated tag its message.
    ///
    /// # Errors
    /// The commit is not there, or git fails.
    pub async fn commit(&self, commit: &Oid, git_ref: &GitRef) -> Result<Commit, Error> {
        let mut names = vec![commit.to_string()];
        if matches!(git_ref, GitRef::Tag(_)) {
            names.push(git_ref.full());
        }
        let raw = batch(&self.git, &self.dir, &names).await?;
        let mut found = objects(&raw, names.len())?.into_iter();
        let mut described = match found.next() {
            Some(Found::Object {
                kind: "commit", body, ..
            }) => parse_commit(commit, body),
            _ => return Err(Error::NoCommit(commit.to_string())),
        };
        if let Some(Found::Object { kind: "tag", body, .. }) = found.next() {
            described.tag_message = Some(parse_tag_message(body));
        }
        Ok(described)
    }

    /// The contents of files at a commit, in the order asked for; `None` where there is no such file.
    ///
    /// # Errors
    /// Git fails, or the files are larger than 320 MiB in all.
    pub async fn files(&self, commit: &Oid, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let found = self.at_paths(commit, paths).await?;
        let file = |found| match found {
            AtPath::File(bytes) => Some(bytes),
            AtPath::Folder | AtPath::Nothing => None,
        };
        Ok(found.into_iter().map(file).collect())
    }

    /// What stands at paths of a commit, in the order asked for, in one look.
    ///
    /// # Errors
    /// As [`Mirror::files`].
    pub async fn at_paths(&self, commit: &Oid, paths: &[String]) -> Result<Vec<AtPath>, Error> {
        // A line break would shift the answers, a relative path would end git: such a path asks for what cannot exist.
        let harmless = |path: &str| !path.contains(['\n', '\0']) && !path.starts_with("./") && !path.starts_with("..");
        let names: Vec<_> = paths
            .iter()
            .map(|p| format!("{commit}:{}", if harmless(p) { p } else { "//" }))
            .collect();
        let raw = batch(&self.git, &self.dir, &names).await?;
        let found = objects(&raw, names.len())?;
        Ok(found
            .into_iter()
            .map(|found| match found {
                Found::Object { kind: "blob", body, .. } => AtPath::File(body.to_vec()),
                Found::Object { kind: "tree", .. } => AtPath::Folder,
                Found::Object { .. } | Found::Missing => AtPath::Nothing,
            })
            .collect())
    }

    /// All files of a commit with the ids of their contents, submodules left out. Names that are not UTF-8 are shown with
    /// replacement characters.
    ///
    /// # Errors
    /// Git fails.
    pub async fn tree(&self, commit: &Oid) -> Result<Vec<TreeEntry>, Error> {
        let call = Call::new(
            "ls-tree",
            &self.dir,
            ["ls-tree", "-r", "-z", "--full-tree", commit.as_str()],
        );
        let raw = self.git.bytes(call).await?;
        Ok(raw
            .split(|byte| *byte == 0)
            .filter_map(|entry| {
                let entry = String::from_utf8_lossy(entry);
                let (meta, path) = entry.split_once('\t')?;
                let mut words = meta.split(' ').skip(1);
                let (kind, blob) = (words.next()?, words.next()?);
                (kind == "blob").then(|| TreeEntry {
                    path: path.to_owned(),
                    blob: blob.to_owned(),
                })
            })
            .collect())
    }

    /// Paths that differ between two commits; a renamed file gives both names.
    ///
    /// # Errors
    /// A commit is missing, or git fails.
    pub async fn changed(&self, from: &Oid, to: &Oid) -> Result<Vec<String>, Error> {
        let options = [
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            from.as_str(),
            to.as_str(),
        ];
        let raw = self.git.bytes(Call::new("diff-tree", &self.dir, options)).await?;
        let names = raw.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// The best common ancestor; `None` where histories do not meet.
    ///
    /// # Errors
    /// A commit is missing, or git fails.
    pub async fn merge_base(&self, one: &Oid, other: &Oid) -> Result<Option<Oid>, Error> {
        let call = Call::new("merge-base", &self.dir, ["merge-base", one.as_str(), other.as_str()]);
        let ended = self.git.run(call).await?;
        match ended.code {
            Some(0) => Ok(Some(String::from_utf8_lossy(&ended.stdout).trim().parse()?)),
            Some(1) => Ok(None),
            _ => Err(failed("merge-base", &ended)),
        }
    }

    /// The newest commit at or before `commit` that changed a path; `None` where none did.
    ///
    /// # Errors
    /// Git fails.
    pub async fn last_commit(&self, commit: &Oid, path: &str) -> Result<Option<Oid>, Error> {
        last_commit(&self.git, &self.dir, commit.as_str(), path).await
    }

    /// Whether the commit is in the mirror.
    ///
    /// # Errors
    /// Git fails.
    pub async fn has(&self, commit: &Oid) -> Result<bool, Error> {
        Ok(self.resolve(commit.as_str()).await?.as_ref() == Some(commit))
    }
}

pub(super) async fn resolve(git: &Git, dir: &Path, name: &str) -> Result<Option<Oid>, Error> {
    if name.is_empty() || name.starts_with('-') || name.contains("..") || name.chars().any(char::is_control) {
        return Ok(None);
    }
    let mut call = Call::new("cat-file", dir, ["cat-file", "--batch-check"]);
    call.stdin = format!("{name}^{{commit}}\n").into_bytes();
    let text = git.text(call).await?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(id), Some("commit")) => Ok(id.parse().ok()),
        _ => Ok(None),
    }
}

pub(super) async fn batch(git: &Git, dir: &Path, names: &[String]) -> Result<Vec<u8>, Error> {
    let mut call = Call::new("cat-file", dir, ["cat-file", "--batch"]);
    call.stdin = names
        .iter()
        .flat_map(|name| [name.as_str(), "\n"])
        .collect::<String>()
        .into_bytes();
    call.limit = FILES_LIMIT;
    git.bytes(call).await
}

/// Takes the answer of `cat-file --batch` apart.
fn objects(raw: &[u8], count: usize) -> Result<Vec<Found<'_>>, Error> {
    let broken = |message: &str| Error::Answer {
        what: "cat-file",
        message: message.to_owned(),
    };
    let mut rest = raw;
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| broken("it ends too early"))?;
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let line = std::str::from_utf8(line).unwrap_or(" missing");
        if line.ends_with(" missing") || line.ends_with(" ambiguous") {
            all.push(Found::Missing);
            continue;
        }
        let mut words = line.split(' ');
        let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return Err(broken(line));
        };
        let size: usize = size.parse().map_err(|_| broken(line))?;
        let body = rest.get(..size).ok_or_else(|| broken("an object is cut off"))?;
        rest = rest.get(size + 1..).unwrap_or_default();
        all.push(Found::Object { id, kind, body });
    }
    Ok(all)
}

pub(super) async fn last_commit(git: &Git, dir: &Path, from: &str, path: &str) -> Result<Option<Oid>, Error> {
    let args = ["--literal-pathspecs", "rev-list", "-1", from, "--", path];
    let text = git.text(Call::new("rev-list", dir, args)).await?;
    Ok(text.trim().parse().ok())
}

/// The commit object of a name, e.g. `HEAD`, with its id; `None` where there is none.
pub(super) async fn named_commit(git: &Git, dir: &Path, name: &str) -> Result<Option<Commit>, Error> {
    let raw = batch(git, dir, &[format!("{name}^{{commit}}")]).await?;
    match objects(&raw, 1)?.into_iter().next() {
        Some(Found::Object {
            id,
            kind: "commit",
            body,
        }) => Ok(Some(parse_commit(&id.parse()?, body))),
        _ => Ok(None),
    }
}

/// A branch or tag of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Full name, e.g. `refs/heads/main`.
    pub name: String,
    /// The commit it leads to, through an annotated tag where there is one.
    pub commit: Oid,
}

/// All branches and tags of the repository at `dir` with the commits they lead to, sorted by name.
pub(super) async fn refs(git: &Git, dir: &Path) -> Result<Vec<Ref>, Error> {
    let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
    let options = ["for-each-ref", format, "refs/heads", "refs/tags"];
    let text = git.text(Call::new("for-each-ref", dir, options)).await?;
    Ok(text.lines().filter_map(read_ref).collect())
}

fn read_ref(line: &str) -> Option<Ref> {
    let mut words = line.splitn(5, ' ');
    let (kind, id) = (words.next()?, words.next()?);
    let (peeled_kind, peeled, name) = (words.next()?, words.next()?, words.next()?);
    let commit = match (kind, peeled_kind) {
        ("commit", _) => id,
        ("tag", "commit") => peeled,
        _ => return None,
    };
    Some(Ref {
        name: name.to_owned(),
        commit: commit.parse().ok()?,
    })
}
