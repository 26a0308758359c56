//! Answers from a folder as it stands: `exec`, `lint`, `compile`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use tasuki_pipeline::{Answer, FileAnswer, Origin, Refusal, Tree};

use super::text;
use crate::git::{Git, Worktree, hash_blob};

/// Largest file that is read as configuration; the compiler's own limit is smaller and gives the better message.
const FILE_LIMIT: u64 = 16 << 20;

/// A folder, and what git knows of it where it is a repository.
#[derive(Debug)]
pub struct InFolder {
    pub root: PathBuf,
    pub git: Option<Git>,
    pub worktree: Option<Worktree>,
    /// Paths that count as changed; `None` = unknown, so that everything does.
    pub changed: Option<Vec<String>>,
}

impl InFolder {
    pub(super) fn files(&self, paths: &[String]) -> Vec<Answer> {
        let one =
            |path: &String| inside(&self.root, path).map_or(Answer::Refused(Refusal::NotFound), |file| read(&file));
        paths.iter().map(one).collect()
    }

    /// A component of the project itself, as the folder has it: `templates/name.yml` or `templates/name/template.yml`.
    pub(super) fn component(&self, name: &str) -> Answer {
        let files = [
            format!("templates/{name}.yml"),
            format!("templates/{name}/template.yml"),
        ];
        for path in files {
            if let Answer::File(file) =
                inside(&self.root, &path).map_or(Answer::Refused(Refusal::NotFound), |f| read(&f))
            {
                return Answer::File(FileAnswer {
                    origin: Some(Origin::Local),
                    path: Some(path),
                    ..file
                });
            }
        }
        Answer::Refused(Refusal::NotFound)
    }

    pub(super) async fn tree(&self) -> Answer {
        let entries = match (&self.git, &self.worktree) {
            (Some(git), Some(worktree)) => match worktree.blobs(git).await {
                Ok(entries) => entries
                    .into_iter()
                    .map(|entry| (entry.path, entry.blob))
                    .collect::<Tree>(),
                Err(error) => return Answer::Refused(Refusal::Unreachable(error.to_string())),
            },
            _ => {
                let mut all = Vec::new();
                walk(&self.root, Path::new(""), &mut all);
                all.into_iter().collect::<Tree>()
            }
        };
        Answer::Tree(std::sync::Arc::new(entries))
    }

    pub(super) async fn changed(&self, compare_to: Option<&str>) -> Answer {
        match (&self.changed, compare_to, &self.git, &self.worktree) {
            (Some(paths), _, _, _) => Answer::Changed(Some(paths.clone().into())),
            (None, Some(name), Some(git), Some(worktree)) => match worktree.changed_since(git, name).await {
                Ok(Some(paths)) => Answer::Changed(Some(paths.into())),
                Ok(None) => Answer::Refused(Refusal::BadRef),
                Err(error) => Answer::Refused(Refusal::Unreachable(error.to_string())),
            },
            (None, _, _, _) => Answer::Changed(None),
        }
    }

    pub(super) async fn last_commits(&self, paths: &[String]) -> Answer {
        let mut found = BTreeMap::new();
        if let (Some(git), Some(worktree)) = (&self.git, &self.worktree) {
            for path in paths {
                if let Ok(Some(commit)) = worktree.last_commit(git, path).await {
                    found.insert(path.clone(), commit.to_string());
                }
            }
        }
        Answer::Commits(found)
    }
}

/// A path below `root`; `None` where it would leave it.
pub(super) fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let harmless = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (harmless && !path.is_empty()).then(|| root.join(relative))
}

pub(super) fn read(file: &Path) -> Answer {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() && meta.len() <= FILE_LIMIT => {}
        Ok(meta) if meta.is_file() => return super::unsupported("it is far too large for a configuration"),
        _ => return Answer::Refused(Refusal::NotFound),
    }
    match std::fs::read(file) {
        Ok(bytes) => text(bytes),
        Err(error) => Answer::Refused(Refusal::Unreachable(error.to_string())),
    }
}

/// All files below a folder that is no repository.
fn walk(root: &Path, below: &Path, all: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name() != ".git" => walk(root, &path, all),
            Ok(kind) if !kind.is_dir() => {
                all.extend(hash_blob(&root.join(&path)).map(|blob| (path.to_string_lossy().into_owned(), blob)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let root = Path::new("/r");
        for path in ["a", "/a", "a/b", "./a"] {
            assert!(inside(root, path).is_some_and(|file| file.starts_with(root)), "{path}");
        }
        for path in ["", "..", "../a", "a/../../b", "/../a"] {
            assert_eq!(inside(root, path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn components_of_the_folder_itself_are_read_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("templates/deep")).unwrap();
        std::fs::write(folder.path().join("templates/flat.yml"), "a: {script: x}").unwrap();
        std::fs::write(folder.path().join("templates/deep/template.yml"), "b: {script: x}").unwrap();
        let answerer = super::super::Answerer {
            source: super::super::Source::Folder(InFolder {
                root: folder.path().into(),
                git: None,
                worktree: None,
                changed: None,
            }),
            projects: None,
            remote: super::super::Remote::new(super::super::Reach::Public),
            templates: None,
            orbs: None,
            parent: None,
            address: "ci.example.org:8080/acme/app".to_owned(),
        };
        for (host, path, expected) in [
            ("ci.example.org:8080", "acme/app/flat", Some("a: {script: x}")),
            ("ci.example.org:8080", "acme/app/deep", Some("b: {script: x}")),
            ("ci.example.org:8080", "acme/app/none", None),
            ("ci.example.org:8080", "acme/other/flat", None),
            ("elsewhere.org", "acme/app/flat", None),
        ] {
            let origin = Origin::Component {
                host: host.to_owned(),
                version: "1.0".to_owned(),
            };
            let found = match answerer.file(&origin, path).await {
                Answer::File(file) => Some(file.text.to_string()),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected, "{host}/{path}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_git_has_a_tree() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("d/empty"), "").unwrap();
        let source = InFolder {
            root: folder.path().into(),
            git: None,
            worktree: None,
            changed: None,
        };
        let Answer::Tree(tree) = source.tree().await else {
            panic!("no tree")
        };
        assert_eq!(tree.blob("d/empty"), Some("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"));
        assert!(matches!(source.changed(Some("main")).await, Answer::Changed(None)));
    }
}
