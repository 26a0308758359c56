//! The folders of a sandbox: where they are, how they are made and removed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tasuki_model::reason::FailureReason;

use super::executor::Config;
use crate::executor::{BUILDS, Error, Paths, Result, Task};
use crate::guest::confined;
use crate::process::User;

/// The folders of one sandbox.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) builds: PathBuf,
    pub(super) project: PathBuf,
    pub(super) temp: PathBuf,
    cache: PathBuf,
    home: PathBuf,
}

/// The project folder for a task. GitLab's layout; a path that could leave the builds folder, or lie inside
/// another living workspace, is replaced by `project-<id>`. What the job itself names is not replaced.
pub(super) fn choose(builds: &Path, task: &Task, used: &BTreeSet<PathBuf>) -> Result<PathBuf> {
    let free = |folder: &PathBuf| {
        !used
            .iter()
            .any(|other| folder.starts_with(other) || other.starts_with(folder))
    };
    if let Some(named) = clone_path(builds, task)? {
        return if free(&named) {
            Ok(named)
        } else {
            Err(clone_path_taken(&named))
        };
    }
    let slot = builds
        .join(safe_name(&task.runner_short_token))
        .join(task.concurrent_project_id.to_string());
    let suffix = task.folder_suffix.as_deref().unwrap_or_default();
    let by_id = format!("project-{}", task.project_id);
    [Some(task.project_slug.as_str()), Some(by_id.as_str())]
        .into_iter()
        .flatten()
        .filter_map(|slug| clean_slug(slug, suffix))
        .map(|slug| slot.join(slug))
        .find(free)
        .ok_or_else(|| {
            let what = format!("use the workspace {}", slot.join(&by_id).display());
            Error::system(what, "another task of this runner uses it: two tasks got the same slot")
        })
}

/// The folder that the job names by `GIT_CLONE_PATH`.
///
/// # Errors
/// It is not inside the builds folder, or could be a folder of the runner itself.
pub(in crate::executor) fn clone_path(builds: &Path, task: &Task) -> Result<Option<PathBuf>> {
    let Some(named) = &task.clone_path else {
        return Ok(None);
    };
    let path = PathBuf::from(named.replace(BUILDS, &builds.to_string_lossy()));
    let inside = path.strip_prefix(builds).ok();
    let inside = inside.and_then(|inside| clean_slug(&inside.to_string_lossy(), ""));
    let Some(inside) = inside else {
        let what = format!(
            "GIT_CLONE_PATH {} is no folder below {}",
            path.display(),
            builds.display()
        );
        let remedy = "begin it with $CI_BUILDS_DIR/; no part may be `..`, begin with a dot or end with .tmp";
        return Err(Error::configuration(what, remedy));
    };
    Ok(Some(builds.join(inside)))
}

/// Somebody else's folder is where the job wants its own.
pub(super) fn clone_path_taken(path: &Path) -> Error {
    Error::configuration(
        format!(
            "GIT_CLONE_PATH {} is in use, or was not made by this runner",
            path.display()
        ),
        "put $CI_CONCURRENT_ID into it, so that jobs that run at once have folders of their own; or name another",
    )
}

pub(crate) fn clean_slug(slug: &str, suffix: &str) -> Option<PathBuf> {
    let named = format!("{}{suffix}", slug.trim_matches('/'));
    let clean = confined::inside(Path::new(&named))?;
    let bad = clean.iter().any(|part| {
        let bytes = part.as_encoded_bytes();
        bytes.ends_with(b".tmp") || bytes.contains(&0) || bytes.first() == Some(&b'.')
    });
    (!clean.as_os_str().is_empty() && !bad).then_some(clean)
}

pub(crate) fn safe_name(token: &str) -> String {
    let clean: String = token
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

impl Folders {
    pub(super) fn below(config: &Config, project: PathBuf) -> Self {
        let temp = beside(&project);
        let home = config.home.clone().unwrap_or_else(|| temp.join("home"));
        Self {
            builds: config.builds_dir.clone(),
            project,
            home,
            temp,
            cache: config.cache_dir.clone(),
        }
    }

    /// Folders that a record names. `None` when they are not where ours are.
    pub(super) fn found(builds: &Path, project: PathBuf, temp: PathBuf) -> Option<Self> {
        let relative = project.strip_prefix(builds).ok()?;
        let below = !confined::inside(relative)?.as_os_str().is_empty();
        (below && temp == beside(&project)).then(|| Self {
            builds: builds.to_owned(),
            home: temp.join("home"),
            cache: PathBuf::new(),
            project,
            temp,
        })
    }

    pub(super) fn paths(&self) -> Paths {
        Paths {
            builds: self.builds.clone(),
            project: self.project.clone(),
            temp: self.temp.clone(),
            cache: self.cache.clone(),
            home: self.home.clone(),
        }
    }

    /// `TMPDIR`.
    pub(super) fn scratch(&self) -> PathBuf {
        self.temp.join("tmp")
    }

    /// Makes them, empty, for `user`. Others cannot look into them.
    pub(super) fn make(&self, user: Option<&User>) -> Result<()> {
        let failed = |path: &Path| {
            let what = format!("make the folder {}", path.display());
            move |error: io::Error| Error::system(what, error)
        };
        fs::create_dir_all(&self.cache).map_err(failed(&self.cache))?;
        if let Some(user) = user {
            // Made by root, used by the job.
            own(&self.cache, user).map_err(failed(&self.cache))?;
        }
        let parent = self.project.parent().unwrap_or(&self.builds);
        let mut made = make_private(&self.project);
        // The parents may be missing, or be removed this very moment by the teardown of a neighbour.
        for _ in 0..100 {
            match &made {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(parent).map_err(failed(parent))?;
                    made = make_private(&self.project);
                }
                _ => break,
            }
        }
        made.map_err(failed(&self.project))?;
        let scratch = self.scratch();
        let home = self.temp.join("home");
        for folder in [&self.temp, &scratch, &home] {
            make_private(folder).map_err(failed(folder))?;
        }
        for folder in [&self.project, &self.temp, &scratch, &home] {
            if let Some(user) = user {
                own(folder, user).map_err(failed(folder))?;
            }
        }
        Ok(())
    }

    /// Removes both folders and the parents that became empty. Idempotent.
    pub(super) fn remove(&self) -> Result<()> {
        for folder in [&self.project, &self.temp] {
            remove_tree(folder)
                .map_err(|error| Error::system(format!("remove the folder {}", folder.display()), error))?;
        }
        let parents = self
            .project
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != self.builds);
        for parent in parents {
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Whether something is where they are to be made.
    pub(super) fn exist(&self) -> bool {
        self.project.symlink_metadata().is_ok() || self.temp.symlink_metadata().is_ok()
    }
}

/// The project folder's name + `.tmp`.
pub(in crate::executor) fn beside(project: &Path) -> PathBuf {
    let mut name = project.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// Makes one folder that the job removed and that a command needs.
pub(super) fn make_for(folder: &Path, user: Option<&User>) -> Result<()> {
    let made = fs::create_dir_all(folder).and_then(|()| user.map_or(Ok(()), |user| own(folder, user)));
    made.map_err(|error| Error::system(format!("make the folder {}", folder.display()), error))
}

fn own(path: &Path, user: &User) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
}

/// Removes a folder and all below it, links as links, also where the job took our own rights away.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let first = match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return fs::remove_file(folder),
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if first.kind() != io::ErrorKind::PermissionDenied {
        return Err(first);
    }
    make_removable(folder)?;
    fs::remove_dir_all(folder)
}

fn make_removable(folder: &Path) -> io::Result<()> {
    let mut queue = vec![folder.to_owned()];
    while let Some(folder) = queue.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                queue.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Folders inside a container, where the project lies below `root`.
///
/// # Errors
/// The project's path makes no folder name.
pub(in crate::executor) fn in_container(builds: PathBuf, root: &Path, cache: PathBuf, task: &Task) -> Result<Paths> {
    let suffix = task.folder_suffix.as_deref().unwrap_or_default();
    let slug = clean_slug(&task.project_slug, suffix)
        .or_else(|| clean_slug(&format!("project-{}", task.project_id), suffix))
        .ok_or_else(|| {
            Error::job(
                FailureReason::RunnerConfigurationError,
                "the project has no usable folder name",
            )
        })?;
    let project = clone_path(&builds, task)?.unwrap_or_else(|| root.join(slug));
    let temp = beside(&project);
    Ok(Paths {
        builds,
        home: temp.join("home"),
        project,
        temp,
        cache,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_stays_inside() {
        let check = |slug: &str, clean: Option<&str>| {
            assert_eq!(clean_slug(slug, ""), clean.map(PathBuf::from), "{slug:?}");
        };
        check("group/project", Some("group/project"));
        check("/group/sub/project/", Some("group/sub/project"));
        check("../project", None);
        check("group/../../project", None);
        check("", None);
        check("group/project.tmp", None);
        check("group/.git", None);
    }
}
