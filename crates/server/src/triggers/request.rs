//! Pipelines that somebody asks for: the API, the web UI, schedules.

use serde_json::Value;
use tasuki_model::plan::Variable;
use tasuki_model::trigger::{GitRef, Source};
use tasuki_store::projects::Project;
use tracing::warn;

use super::configurations::Made;
use super::create::{Circumstances, Read, Start};
use super::forge::PushOptions;
use super::{Error, Key, Triggers};
use crate::git::{Mirror, Oid};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Want {
    pub source: Source,
    /// Branch or tag; `None` = the default branch.
    pub git_ref: Option<String>,
    /// Commit; `None` = tip of the ref.
    pub commit: Option<String>,
    pub variables: Vec<Variable>,
    pub inputs: Vec<(String, Value)>,
    /// Login, name, e-mail.
    pub user: Option<(String, String, String)>,
    pub key: Option<Key>,
    /// What the caller was told of (`TRIGGER_PAYLOAD`).
    pub payload: Option<Value>,
    pub more: Circumstances,
}

impl Want {
    /// The tip of the default branch, with nothing else said.
    #[must_use]
    pub fn by(source: Source) -> Self {
        Self {
            source,
            git_ref: None,
            commit: None,
            variables: Vec::new(),
            inputs: Vec::new(),
            user: None,
            key: None,
            payload: None,
            more: Circumstances::default(),
        }
    }
}

impl Start {
    /// What somebody asked for, of a ref that was found.
    pub(super) fn asked(project: Project, git_ref: GitRef, read: Read, want: Want) -> Self {
        Self {
            key: want.key,
            project,
            git_ref,
            read,
            before: None,
            source: want.source,
            variables: want.variables,
            inputs: want.inputs,
            user: want.user,
            options: PushOptions::default(),
            payload: want.payload,
            selection: None,
            more: want.more,
        }
    }
}

impl Triggers {
    /// Starts what a project's configurations make of a request, after a look at what its origin has now.
    ///
    /// # Errors
    /// There is no such ref or commit, or something of ours fails.
    pub async fn run(&self, project: Project, want: Want) -> Result<Vec<Made>, Error> {
        let mirror = self.latest(&project).await?;
        let (git_ref, tip) = self.pick(&project, &mirror, want.git_ref.as_deref()).await?;
        let commit = match &want.commit {
            None => tip,
            Some(name) => {
                let id: Oid = name.parse().map_err(|_| Error::NoRef(name.clone()))?;
                self.commit(&project, &mirror, &id).await?
            }
        };
        self.create(Start::asked(project, git_ref, Read::Commit(commit), want))
            .await
    }

    /// The mirror as its origin is now; one that is out of reach does not stop what is here already from being built
    /// again.
    pub(super) async fn latest(&self, project: &Project) -> Result<Mirror, Error> {
        match self.fetched(project).await {
            Ok(mirror) => Ok(mirror),
            Err(error) => {
                let mirror = self.inner.parts.mirrors.of(project.id);
                if !mirror.dir().exists() {
                    return Err(error);
                }
                warn!(project.id = project.id.0, %error, "the origin cannot be fetched; the mirror is built as it is");
                Ok(mirror)
            }
        }
    }

    /// The ref of that name, a branch before a tag, with its tip.
    pub(super) async fn pick(
        &self,
        project: &Project,
        mirror: &Mirror,
        name: Option<&str>,
    ) -> Result<(GitRef, Oid), Error> {
        let name = name.unwrap_or(&project.default_branch);
        let plain = name
            .strip_prefix("refs/heads/")
            .or(name.strip_prefix("refs/tags/"))
            .unwrap_or(name);
        let kinds = match name {
            _ if name.starts_with("refs/tags/") => vec![GitRef::Tag(plain.to_owned())],
            _ if name.starts_with("refs/heads/") => vec![GitRef::Branch(plain.to_owned())],
            _ => vec![GitRef::Branch(plain.to_owned()), GitRef::Tag(plain.to_owned())],
        };
        for git_ref in kinds {
            if let Some(tip) = mirror.resolve(&git_ref.full()).await? {
                return Ok((git_ref, tip));
            }
        }
        if mirror.refs().await?.is_empty() {
            return Err(Error::Empty);
        }
        // A commit by its id belongs to no ref of its own: it is built as part of the default branch.
        let is_id = name.len() >= 7 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
        match if is_id { mirror.resolve(name).await? } else { None } {
            Some(commit) => Ok((GitRef::Branch(project.default_branch.clone()), commit)),
            None => Err(Error::NoRef(name.to_owned())),
        }
    }
}
