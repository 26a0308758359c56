//! Folders of a sandbox in its pod.

use std::path::PathBuf;

use tasuki_model::reason::FailureReason;

use super::settings::Settings;
use crate::executor::shell::folders;
use crate::executor::{Error, Paths, Result, Task};

/// As on a machine: the pod's own volume holds one project.
pub(super) fn paths(settings: &Settings, task: &Task) -> Result<Paths> {
    let builds = PathBuf::from(&settings.builds_dir);
    let suffix = task.folder_suffix.as_deref().unwrap_or_default();
    let slug = folders::clean_slug(&task.project_slug, suffix)
        .or_else(|| folders::clean_slug(&format!("project-{}", task.project_id), suffix))
        .ok_or_else(|| {
            Error::job(
                FailureReason::RunnerConfigurationError,
                "the project has no usable folder name",
            )
        })?;
    let project = builds.join(slug);
    let mut temp = project.clone().into_os_string();
    temp.push(".tmp");
    let temp = PathBuf::from(temp);
    Ok(Paths {
        builds,
        home: temp.join("home"),
        project,
        temp,
        cache: PathBuf::from(&settings.cache_dir),
    })
}
