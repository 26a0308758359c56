//! Answers from the mirrors of this server.

use std::collections::BTreeMap;

use tasuki_pipeline::{Answer, FileAnswer, Origin, Refusal, Tree};
use tasuki_store::{Store, projects};
use tracing::warn;

use super::{Place, text};
use crate::git::{AtPath, Error, Mirror, Mirrors, Oid};

/// The pipeline's own project at its commit.
#[derive(Debug, Clone)]
pub struct AtCommit {
    pub mirror: Mirror,
    pub commit: Oid,
    pub comparison: Comparison,
}

/// What `changes` compares the commit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing (new branch, tag, schedule, request of a person): every path counts as changed.
    Nothing,
    /// The tip before the push.
    Before(Oid),
    /// It is said which paths changed.
    Given(Vec<String>),
}

/// The other projects of the server.
#[derive(Debug, Clone)]
pub struct Projects {
    pub store: Store,
    pub mirrors: Mirrors,
    /// Host and port of this server's address: components of other hosts are refused.
    pub host: String,
}

impl AtCommit {
    pub(super) async fn files(&self, paths: &[String]) -> Vec<Answer> {
        let plain: Vec<String> = paths
            .iter()
            .map(|path| path.trim_start_matches('/').to_owned())
            .collect();
        match self.mirror.files(&self.commit, &plain).await {
            Ok(found) => found
                .into_iter()
                .map(|file| file.map_or(Answer::Refused(Refusal::NotFound), text))
                .collect(),
            Err(error) => paths.iter().map(|_| failed(&error)).collect(),
        }
    }

    /// Nothing stands where git fails: the start of a pipeline tells then that there is no configuration.
    pub(super) async fn at_paths(&self, paths: &[&str]) -> Vec<Place> {
        let names: Vec<String> = paths.iter().map(|path| path.trim_matches('/').to_owned()).collect();
        let found = match self.mirror.at_paths(&self.commit, &names).await {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, commit = %self.commit, "the configuration cannot be read");
                return paths.iter().map(|_| Place::Nothing).collect();
            }
        };
        let place = |found| match found {
            AtPath::Folder => Place::Folder,
            AtPath::Nothing => Place::Nothing,
            AtPath::File(bytes) => match text(bytes) {
                Answer::File(file) => Place::File(file.text),
                _ => Place::Nothing,
            },
        };
        found.into_iter().map(place).collect()
    }

    pub(super) async fn tree(&self) -> Answer {
        tree(&self.mirror, &self.commit).await
    }

    pub(super) async fn changed(&self, compare_to: Option<&str>) -> Answer {
        let base = match (compare_to, &self.comparison) {
            (_, Comparison::Given(paths)) => return Answer::Changed(Some(paths.clone().into())),
            (None, Comparison::Nothing) => return Answer::Changed(None),
            (None, Comparison::Before(before)) => Ok(Some(before.clone())),
            (Some(name), _) => self.fork_point(name).await,
        };
        let base = match base {
            Ok(Some(base)) => base,
            Ok(None) => return Answer::Refused(Refusal::BadRef),
            Err(error) => return failed(&error),
        };
        match self.mirror.changed(&base, &self.commit).await {
            Ok(paths) => Answer::Changed(Some(paths.into())),
            // After a forced push the old tip may be gone: then nothing is known.
            Err(error) if compare_to.is_none() => {
                warn!(%error, before = %base, "the tip before the push cannot be compared with");
                Answer::Changed(None)
            }
            Err(error) => failed(&error),
        }
    }

    /// Where the history left that of `name`: a branch, a tag or a commit, in this order.
    async fn fork_point(&self, name: &str) -> Result<Option<Oid>, Error> {
        let Some(other) = named(&self.mirror, name).await? else {
            return Ok(None);
        };
        self.mirror.merge_base(&other, &self.commit).await
    }

    pub(super) async fn last_commits(&self, paths: &[String]) -> Answer {
        let mut found = BTreeMap::new();
        for path in paths {
            match self.mirror.last_commit(&self.commit, path).await {
                Ok(Some(commit)) => {
                    found.insert(path.clone(), commit.to_string());
                }
                Ok(None) => {}
                Err(error) => return failed(&error),
            }
        }
        Answer::Commits(found)
    }
}

impl Projects {
    pub(super) async fn file(&self, project: &str, git_ref: &str, path: &str) -> Answer {
        let (mirror, commit) = match self.at(project, git_ref).await {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let path = path.trim_start_matches('/').to_owned();
        match mirror.files(&commit, std::slice::from_ref(&path)).await {
            Ok(found) => match found.into_iter().next().flatten().map(text) {
                Some(Answer::File(file)) => pinned(file, project, &commit, path),
                Some(other) => other,
                None => Answer::Refused(Refusal::NotFound),
            },
            Err(error) => failed(&error),
        }
    }

    pub(super) async fn tree(&self, project: &str, git_ref: &str) -> Answer {
        match self.at(project, git_ref).await {
            Ok((mirror, commit)) => tree(&mirror, &commit).await,
            Err(answer) => answer,
        }
    }

    /// `group/project/name` at a version: `templates/name.yml` or `templates/name/template.yml`.
    pub(super) async fn component(&self, host: &str, path: &str, version: &str) -> Answer {
        if !host.eq_ignore_ascii_case(&self.host) {
            let why = format!(
                "this server is {}; components of other servers are not fetched",
                self.host
            );
            return Answer::Refused(Refusal::Unsupported(why));
        }
        let Some((project, name)) = path.rsplit_once('/') else {
            return Answer::Refused(Refusal::NotFound);
        };
        for file in [
            format!("templates/{name}.yml"),
            format!("templates/{name}/template.yml"),
        ] {
            match self.file(project, version, &file).await {
                Answer::Refused(Refusal::NotFound) => {}
                found => return found,
            }
        }
        Answer::Refused(Refusal::NotFound)
    }

    async fn at(&self, path: &str, git_ref: &str) -> Result<(Mirror, Oid), Answer> {
        let wanted = path.trim_matches('/').to_owned();
        let found = self.store.read(move |tx| projects::by_path(tx, &wanted)).await;
        let project = match found {
            Ok(Some(found)) => found.id,
            Ok(None) => return Err(Answer::Refused(Refusal::Denied)),
            Err(error) => return Err(Answer::Refused(Refusal::Unreachable(error.to_string()))),
        };
        let mirror = self.mirrors.of(project);
        let head = || mirror.head().ok().flatten().unwrap_or_else(|| "HEAD".to_owned());
        let name = if matches!(git_ref, "" | "HEAD") {
            head()
        } else {
            git_ref.to_owned()
        };
        match named(&mirror, &name).await {
            Ok(Some(commit)) => Ok((mirror, commit)),
            Ok(None) => Err(Answer::Refused(Refusal::BadRef)),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// A branch, a tag or a commit id, in this order.
async fn named(mirror: &Mirror, name: &str) -> Result<Option<Oid>, Error> {
    for full in [format!("refs/heads/{name}"), format!("refs/tags/{name}")] {
        if let Some(commit) = mirror.resolve(&full).await? {
            return Ok(Some(commit));
        }
    }
    mirror.resolve(name).await
}

async fn tree(mirror: &Mirror, commit: &Oid) -> Answer {
    match mirror.tree(commit).await {
        Ok(entries) => Answer::Tree(std::sync::Arc::new(
            entries.into_iter().map(|e| (e.path, e.blob)).collect::<Tree>(),
        )),
        Err(error) => failed(&error),
    }
}

/// What the file includes itself is read at the same commit, however the branch moves meanwhile.
fn pinned(file: FileAnswer, project: &str, commit: &Oid, path: String) -> Answer {
    let origin = Origin::Project {
        project: project.trim_matches('/').to_owned(),
        git_ref: commit.to_string(),
    };
    Answer::File(FileAnswer {
        origin: Some(origin),
        path: Some(path),
        ..file
    })
}

fn failed(error: &Error) -> Answer {
    Answer::Refused(Refusal::Unreachable(error.to_string()))
}
