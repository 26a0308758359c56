//! A cgroup for each sandbox, where the kernel has them and we may make them. Detected, never required.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(10);

/// A cgroup of one sandbox. Version 2 wherever it is mounted (also beside version 1), else version 1's freezer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    dir: PathBuf,
}

impl Cgroup {
    /// Makes the cgroup `tasuki-<name>` below our own. `None` where that cannot be: not mounted, read-only, no rights.
    #[must_use]
    pub fn create(name: &str) -> Option<Self> {
        parents().into_iter().find_map(|parent| {
            let dir = parent.join(format!("tasuki-{name}"));
            fs::create_dir(&dir).ok()?;
            let made = Self { dir };
            // Some containers let us make a folder there but move nobody into it.
            let usable = fs::OpenOptions::new().write(true).open(made.procs()).is_ok();
            if !usable {
                let _ = fs::remove_dir(&made.dir);
            }
            usable.then_some(made)
        })
    }

    /// The cgroup that [`Cgroup::dir`] named before.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Its folder, for the record that a sweep reads.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a process writes its id to enter.
    #[must_use]
    pub fn procs(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// Kills everybody in it and removes it. Returns how many were killed. Does nothing when it is gone already.
    ///
    /// # Errors
    /// Somebody is still there after ten seconds.
    pub fn destroy(&self) -> Result<usize> {
        let started = Instant::now();
        let mut killed = 0;
        while self.dir.exists() {
            killed += self.kill();
            match fs::remove_dir(&self.dir) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(_) if started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => {
                    return Err(Error::Unkillable {
                        seconds: PATIENCE.as_secs(),
                    });
                }
            }
        }
        Ok(killed)
    }

    fn kill(&self) -> usize {
        let members = self.members();
        if members.is_empty() {
            return 0;
        }
        if fs::write(self.dir.join("cgroup.kill"), "1").is_ok() {
            return members.len();
        }
        // Frozen, nobody forks away between the reading and the killing.
        let freezer = self.dir.join("freezer.state");
        let _ = fs::write(&freezer, "FROZEN");
        let members = self.members();
        for pid in &members {
            let _ = kill_process(*pid, Signal::KILL);
        }
        let _ = fs::write(&freezer, "THAWED");
        members.len()
    }

    fn members(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.procs()).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.parse().ok().and_then(Pid::from_raw))
            .collect()
    }
}

/// Our own cgroups in which ours could be made, best first.
fn parents() -> Vec<PathBuf> {
    let (Ok(mounts), Ok(own)) = (
        fs::read_to_string("/proc/self/mounts"),
        fs::read_to_string("/proc/self/cgroup"),
    ) else {
        return Vec::new();
    };
    let mount = |wanted: &dyn Fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (_, point, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            wanted(kind, options).then(|| PathBuf::from(point))
        })
    };
    let path = |wanted: &dyn Fn(&str, &str) -> bool| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(id, controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let second = mount(&|kind, _| kind == "cgroup2").zip(path(&|id, controllers| id == "0" && controllers.is_empty()));
    let freezer = mount(&|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "freezer")).zip(
        path(&|_, controllers| controllers.split(',').any(|one| one == "freezer")),
    );
    [second, freezer]
        .into_iter()
        .flatten()
        .map(|(mount, path)| mount.join(path))
        .collect()
}
