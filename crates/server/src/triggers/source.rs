//! Where a project's commits come from.

use std::path::Path;

use tasuki_store::projects::Project;

use super::{Error, Triggers};
use crate::config::ProjectSettings;
use crate::git::{Credential, Mirror, Oid, Remote, top_level};

impl Triggers {
    /// What the project's mirror fetches from.
    pub(super) fn origin(&self, project: &Project) -> Result<Remote, Error> {
        if project.kind == "local" {
            let gone = |_| Error::NoFolder(project.url.clone());
            let folder = top_level(Path::new(&project.url)).map_err(gone)?;
            return Ok(Remote::new(&folder.to_string_lossy(), Credential::None)?);
        }
        let settings = ProjectSettings::read(&project.settings_json);
        let credential = match &settings.deploy_key {
            None => Credential::None,
            Some(sealed) => {
                let secret = self.inner.parts.vault.open(sealed).ok_or(Error::Sealed)?;
                if project.url.starts_with("http") {
                    Credential::Token {
                        user: "oauth2".to_owned(),
                        token: secret,
                    }
                } else {
                    Credential::SshKey(secret)
                }
            }
        };
        Ok(Remote::new(&project.url, credential)?)
    }

    /// The mirror with everything that the origin has now.
    pub(super) async fn fetched(&self, project: &Project) -> Result<Mirror, Error> {
        let mirror = self.inner.parts.mirrors.of(project.id);
        mirror.fetch(&self.origin(project)?).await?;
        Ok(mirror)
    }

    /// The commit of a tag; fetched where it is not known yet.
    ///
    /// # Errors
    /// The origin cannot be reached, or git fails; a tag that there is not is `None`.
    pub async fn tag(&self, project: &Project, tag: &str) -> Result<Option<Oid>, Error> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\{}".contains(c);
        if tag.is_empty() || tag.contains(odd) || tag.contains("..") {
            return Ok(None);
        }
        let name = format!("refs/tags/{tag}");
        let mirror = self.inner.parts.mirrors.of(project.id);
        if let Ok(Some(commit)) = mirror.resolve(&name).await {
            return Ok(Some(commit));
        }
        Ok(self.fetched(project).await?.resolve(&name).await?)
    }

    /// The commit that an id leads to (a tag object, too); fetched by itself where no branch or tag has it any more.
    pub(super) async fn commit(&self, project: &Project, mirror: &Mirror, id: &Oid) -> Result<Oid, Error> {
        if let Some(commit) = mirror.resolve(id.as_str()).await? {
            return Ok(commit);
        }
        mirror.fetch_commit(&self.origin(project)?, id).await?;
        mirror
            .resolve(id.as_str())
            .await?
            .ok_or_else(|| Error::NoRef(id.to_string()))
    }
}
