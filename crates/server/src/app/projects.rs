//! Adding and removing projects.

use std::path::Path;

use tasuki_model::id::ProjectId;
use tasuki_model::secret::Secret;
use tasuki_proto::rest::NewProject;
use tasuki_store::{pipelines, projects, retention};

use super::App;
use crate::config::ProjectSettings;
use crate::git::{self, Credential, Remote};
use crate::http::error::{Code, Problem};
use crate::identity::token::{self, Kind};
use crate::triggers::project_path;

/// Rows that are removed in one transaction.
const PAGE: u32 = 200;

/// A project that was added.
pub struct Added {
    pub project: projects::Project,
    /// The secret of its webhooks, where it was made here: it is shown once.
    pub hook_secret: Option<Secret>,
}

impl App {
    /// Adds a folder or a repository as project. A folder is watched from then on.
    ///
    /// # Errors
    /// A value is not acceptable, or the path is taken.
    pub async fn add_project(&self, new: NewProject) -> Result<Added, Problem> {
        let place = place(&new.location)?;
        let path = new.path.unwrap_or(place.path);
        check_path(&path)?;
        let (hook_secret, shown) = match (place.local, new.hook_secret) {
            (true, _) => (None, None),
            (false, Some(given)) => (Some(Secret::new(given)), None),
            (false, None) => {
                let made = token::new(Kind::Hook).map_err(|failed| Problem::internal(&failed))?;
                (Some(made.clone()), Some(made))
            }
        };
        let seal = |secret: &Secret| self.vault().seal(secret).map_err(|failed| Problem::internal(&failed));
        let settings = ProjectSettings {
            config_path: new.config_path.unwrap_or_default(),
            hook_secret: hook_secret.as_ref().map(seal).transpose()?,
            deploy_key: new.deploy_key.map(|key| seal(&Secret::new(key))).transpose()?,
            build_forks: new.build_forks.unwrap_or(false),
            ..ProjectSettings::default()
        };
        let branch = match new.default_branch {
            Some(branch) => branch,
            None => self.default_branch(&place.location, place.local).await,
        };
        let now = self.now();
        let created = self
            .store()
            .write_as(move |tx| {
                let row = projects::NewProject {
                    path: &path,
                    name: path.rsplit('/').next().unwrap_or_default(),
                    kind: if place.local { "local" } else { "git" },
                    url: &place.location,
                    default_branch: &branch,
                    settings_json: &settings.to_json(),
                };
                match projects::create(tx, &row, now) {
                    Err(tasuki_store::Error::Duplicate { .. }) => {
                        Err(Problem::new(Code::Conflict, format!("a project {path} exists already")))
                    }
                    other => Ok(projects::get(tx, other?)?),
                }
            })
            .await?;
        let project = created.ok_or_else(|| Problem::not_found("the new project"))?;
        self.triggers().added(&project).await;
        Ok(Added {
            project,
            hook_secret: shown,
        })
    }

    /// Removes a project with everything in it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_project(&self, id: ProjectId) -> Result<(), Problem> {
        let now = self.now();
        self.remove_pipelines(id).await?;
        self.store().write(move |tx| projects::remove(tx, id, now)).await?;
        if let Err(left) = self.triggers().removed(id).await {
            tracing::warn!(project.id = id.0, error = %left, "the mirror of a removed project could not be removed");
        }
        Ok(())
    }

    /// Ends and removes a project's pipelines one by one: a long history in one transaction would make all others
    /// wait.
    async fn remove_pipelines(&self, id: ProjectId) -> Result<(), Problem> {
        let now = self.now();
        let mut before = None;
        loop {
            let filter = move || pipelines::Filter {
                project: Some(id),
                ref_name: None,
                before,
            };
            let page = self
                .store()
                .read(move |tx| pipelines::list(tx, &filter(), PAGE))
                .await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.id);
            for pipeline in page {
                if pipeline.finished_ms.is_none() {
                    self.scheduler().cancel_pipeline(pipeline.id).await?;
                }
                while self
                    .store()
                    .write(move |tx| retention::remove_some(tx, pipeline.id, PAGE, now))
                    .await?
                {}
            }
        }
    }

    /// What is checked out in a folder; `main` where that cannot be seen.
    async fn default_branch(&self, location: &str, local: bool) -> String {
        let found = if local {
            git::Worktree::read(self.mirrors().git(), Path::new(location))
                .await
                .ok()
                .map(|tree| tree.git_ref().short())
        } else {
            None
        };
        found
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "main".to_owned())
    }
}

struct Place {
    location: String,
    local: bool,
    /// `namespace/name` made from it.
    path: String,
}

/// A folder of this machine, or an address that git can fetch from.
fn place(given: &str) -> Result<Place, Problem> {
    let local = given.starts_with('/') || given.starts_with("./") || given.starts_with("../") || given == ".";
    if !local {
        let refused = |wrong: git::Error| Problem::invalid("location", wrong.to_string());
        let remote = Remote::new(given, Credential::None).map_err(refused)?;
        let trimmed = given.trim_end_matches('/').trim_end_matches(".git");
        let mut parts = trimmed.rsplit(['/', ':']);
        let name = parts.next().unwrap_or_default();
        let namespace = parts
            .next()
            .filter(|part| !part.is_empty() && !part.contains('@'))
            .unwrap_or("remote");
        return Ok(Place {
            location: remote.address().to_owned(),
            local,
            path: project_path(namespace, name),
        });
    }
    let folder = git::top_level(Path::new(given))
        .map_err(|wrong| Problem::invalid("location", format!("{given} is no git repository: {wrong}")))?;
    let name = folder
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Place {
        location: folder.to_string_lossy().into_owned(),
        local,
        path: project_path("local", &name),
    })
}

fn check_path(path: &str) -> Result<(), Problem> {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && !part.starts_with(['-', '.'])
            && !part.ends_with(".git")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let parts: Vec<&str> = path.split('/').collect();
    if (2..=20).contains(&parts.len()) && parts.iter().all(|p| part(p)) {
        return Ok(());
    }
    Err(Problem::invalid(
        "path",
        format!("{path:?} is not namespace/name with letters, digits, `-`, `_` and `.`"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_projects_are_plain() {
        let check = |path: &str, fits: bool| assert_eq!(check_path(path).is_ok(), fits, "{path:?}");
        check("group/name", true);
        check("a/b/c.d", true);
        check("name", false);
        check("group/..", false);
        check("group/name.git", false);
        check("group//name", false);
        check("group/na me", false);
        check("group/<b>", false);
    }
}
