//! Adding projects.

use tasuki_proto::rest::NewProject;
use tasuki_store::projects;

use super::App;
use crate::config::ProjectSettings;
use crate::http::error::{Code, Problem};

impl App {
    /// Adds a folder or a repository as project.
    ///
    /// # Errors
    /// A value is not acceptable, or the path is taken.
    pub async fn add_project(&self, new: NewProject) -> Result<projects::Project, Problem> {
        let local = new.location.starts_with('/') || new.location.starts_with('.');
        let path = new.path.unwrap_or_else(|| path_of(&new.location));
        check_path(&path)?;
        let settings = ProjectSettings {
            config_path: new.config_path.unwrap_or_default(),
            ..ProjectSettings::default()
        };
        let now = self.now();
        let created = self
            .store()
            .write_as(move |tx| {
                let row = projects::NewProject {
                    path: &path,
                    name: path.rsplit('/').next().unwrap_or_default(),
                    kind: if local { "local" } else { "git" },
                    url: &new.location,
                    default_branch: new.default_branch.as_deref().unwrap_or("main"),
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
        created.ok_or_else(|| Problem::not_found("the new project"))
    }
}

/// `…/group/name.git` → `group/name`.
fn path_of(location: &str) -> String {
    let trimmed = location.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = trimmed.rsplit(['/', ':']);
    let name = parts.next().unwrap_or_default();
    let namespace = parts.next().filter(|part| !part.is_empty()).unwrap_or("local");
    format!("{namespace}/{name}")
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
