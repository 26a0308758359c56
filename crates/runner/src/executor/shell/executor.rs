//! Making and sweeping shell sandboxes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tasuki_rt::Tasks;

use super::folders::{self, Folders};
use super::record::{self, Record};
use super::sandbox::ShellSandbox;
use crate::executor::{Error, Executor, Output, Result, Sandbox, Stop, Swept, Task, unique};
use crate::process::{Binary, Cgroup, User, Waiting, sweep_marked};

/// Settings of the shell executor.
#[derive(Debug, Clone)]
pub struct Config {
    /// `builds_dir`. Made when missing; must be absolute.
    pub builds_dir: PathBuf,
    /// `cache_dir`. Made when missing; must be absolute.
    pub cache_dir: PathBuf,
    /// Whom jobs run as. Needs root.
    pub user: Option<String>,
    /// `PATH` of jobs that set none.
    pub path: String,
    /// Further variables that jobs get when they do not set them themselves.
    pub environment: Vec<(String, String)>,
    /// `HOME` of jobs; absent = a fresh, empty one for each task.
    pub home: Option<PathBuf>,
    /// What is started as supervisor and guest.
    pub binary: Binary,
}

impl Config {
    /// `PATH` where nobody says otherwise.
    pub const DEFAULT_PATH: &'static str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// Settings for these folders, everything else as by default.
    pub fn new(builds_dir: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            builds_dir: builds_dir.into(),
            cache_dir: cache_dir.into(),
            user: None,
            path: Self::DEFAULT_PATH.to_owned(),
            environment: Vec::new(),
            home: None,
            binary: Binary::current(),
        }
    }
}

/// The shell executor.
#[derive(Debug)]
pub struct Shell {
    config: Arc<Config>,
    user: Option<User>,
    tasks: Tasks,
    /// Project folders in use by this process.
    in_use: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// For the next task, where one is expected.
    expected: Mutex<Option<Expected>>,
}

/// What every sandbox needs, and what takes longest to come up.
#[derive(Debug)]
struct Expected {
    /// That of the sandbox to be.
    marker: String,
    /// For the first script. Where it could not be started, the script meets the error.
    supervisor: Option<Waiting>,
}

impl Expected {
    fn new(binary: &Binary) -> Result<Self> {
        let marker = unique()?;
        let supervisor = Waiting::new(binary, Some(&marker)).ok();
        Ok(Self { marker, supervisor })
    }
}

impl Shell {
    /// Checks the settings. `tasks` takes the small tasks that drain the output of background processes.
    ///
    /// # Errors
    /// A relative folder, an unknown user, or a user without the rights to become it.
    pub fn new(config: Config, tasks: Tasks) -> Result<Self> {
        for (key, path) in [("builds_dir", &config.builds_dir), ("cache_dir", &config.cache_dir)] {
            if !path.is_absolute() {
                let remedy = format!("give {key} as an absolute path");
                return Err(Error::configuration(
                    format!("{key} {} is relative", path.display()),
                    remedy,
                ));
            }
        }
        let user = config.user.as_deref().map(find_user).transpose()?;
        Ok(Self {
            config: Arc::new(config),
            user,
            tasks,
            in_use: Arc::default(),
            expected: Mutex::default(),
        })
    }

    fn expected(&self) -> MutexGuard<'_, Option<Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find_user(name: &str) -> Result<User> {
    if !User::switchable() {
        let remedy = "run the runner as root, or leave the user out";
        return Err(Error::configuration(
            format!("only root can run jobs as the user {name}"),
            remedy,
        ));
    }
    User::find(name).map_err(|error| Error::configuration(error.to_string(), "create it, or name another"))
}

#[async_trait]
impl Executor for Shell {
    fn kind(&self) -> &'static str {
        "shell"
    }

    async fn prepare(&self, task: Task, stop: Stop, _output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let (config, user, in_use) = (Arc::clone(&self.config), self.user.clone(), Arc::clone(&self.in_use));
        let expected = self.expected().take();
        let Expected { marker, supervisor } = expected.map_or_else(|| Expected::new(&config.binary), Ok)?;
        // Folders are made in microseconds, but an old one of the same name may have to be removed.
        let place = blocking("make the workspace", move || {
            Place::make(&task, &marker, &config, user.as_ref(), in_use)
        })
        .await?;
        Ok(Box::new(ShellSandbox::new(
            Arc::clone(&self.config),
            self.user.clone(),
            self.tasks.clone(),
            place,
            supervisor,
        )))
    }

    fn expect(&self) {
        let mut expected = self.expected();
        if expected.is_none() {
            // Where it cannot be started, the task meets the error.
            *expected = Expected::new(&self.config.binary).ok();
        }
    }

    async fn sweep(&self) -> Result<Swept> {
        let builds = self.config.builds_dir.clone();
        blocking("sweep old workspaces", move || sweep(&builds)).await
    }
}

/// What a sandbox occupies.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folders: Folders,
    pub(super) record: Record,
    pub(super) cgroup: Option<Cgroup>,
    in_use: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Place {
    fn make(
        task: &Task,
        marker: &str,
        config: &Config,
        user: Option<&User>,
        in_use: Arc<Mutex<BTreeSet<PathBuf>>>,
    ) -> Result<Self> {
        let slug = {
            let mut used = in_use.lock().unwrap_or_else(PoisonError::into_inner);
            let folder = folders::choose(&config.builds_dir, task, &used)?;
            used.insert(folder.clone());
            folder
        };
        // From here on the folder is given back however this ends.
        let reserved = Reserved {
            in_use: &in_use,
            folder: &slug,
            keep: false,
        };
        let folders = Folders::below(config, slug.clone());
        let mut record = Record::create(&config.builds_dir, task.id, marker, &folders)?;
        if let Err(taken) = record::clear_old(&config.builds_dir, &folders, &record, task.clone_path.is_some()) {
            // Left there, it would speak of a folder that is another's.
            record.remove();
            return Err(taken);
        }
        let cgroup = Cgroup::create(record.sandbox());
        let made = record.save(&folders, cgroup.as_ref()).and_then(|()| folders.make(user));
        if let Err(error) = made {
            // What cannot be removed now stays written down for the sweep.
            if remove(record.marker(), cgroup.as_ref(), &folders).is_ok() {
                record.remove();
            }
            return Err(error);
        }
        reserved.keep();
        Ok(Self {
            folders,
            record,
            cgroup,
            in_use,
        })
    }

    /// Kills who is left and removes everything. The record goes last.
    pub(super) fn remove(self) -> Result<()> {
        let result = remove(self.record.marker(), self.cgroup.as_ref(), &self.folders).map(drop);
        if result.is_ok() {
            self.record.remove();
        }
        self.in_use
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.folders.project);
        result
    }
}

/// Takes a folder's reservation back, unless it is kept.
struct Reserved<'a> {
    in_use: &'a Mutex<BTreeSet<PathBuf>>,
    folder: &'a Path,
    keep: bool,
}

impl Reserved<'_> {
    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.in_use
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(self.folder);
        }
    }
}

fn sweep(builds: &Path) -> Result<Swept> {
    let mut swept = Swept::default();
    for (record, old) in record::abandoned(builds)? {
        let cgroup = old.cgroup.as_ref().map(Cgroup::at);
        let folders = Folders::found(builds, old.project, old.temp);
        let Some(folders) = folders else {
            tracing::warn!(record = %record.sandbox(), "a record names folders outside the builds folder; left alone");
            continue;
        };
        swept.processes += remove(record.marker(), cgroup.as_ref(), &folders)?;
        swept.sandboxes += 1;
        record.remove();
    }
    Ok(swept)
}

/// Kills, then removes. Idempotent.
fn remove(marker: &str, cgroup: Option<&Cgroup>, folders: &Folders) -> Result<usize> {
    let in_cgroup = match cgroup {
        Some(cgroup) => cgroup
            .destroy()
            .map_err(|error| Error::system("end the task's processes", error))?,
        None => 0,
    };
    let marked = sweep_marked(marker).map_err(|error| Error::system("end the task's processes", error))?;
    folders.remove()?;
    Ok(in_cgroup + marked)
}

/// Runs blocking work beside the runtime.
pub(super) async fn blocking<T, F>(what: &'static str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::system(what, error))?
}
