//! The bare mirror of a project: how it comes to be, how it follows its origin, which refs it keeps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tasuki_model::id::{PipelineId, ProjectId};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use super::command::{Call, REMOTE_TIMEOUT, failed};
use super::read::{Ref, refs};
use super::{Error, Git, Oid, Remote};

/// All mirrors of a server: `<root>/<project id>.git`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mirrors {
    git: Git,
    root: PathBuf,
    /// One writer per mirror: fetches of one project wait for each other.
    writers: Arc<std::sync::Mutex<HashMap<ProjectId, Locks>>>,
}

type Locks = (Arc<Mutex<()>>, Arc<RwLock<()>>);

/// One project's mirror. It need not exist yet: [`Mirror::ensure`] makes it.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub(super) git: Git,
    pub(super) dir: PathBuf,
    writer: Arc<Mutex<()>>,
    /// Held for reading while a pipeline is saved and has no ref yet: fetches wait until nobody does.
    door: Arc<RwLock<()>>,
}

impl Mirrors {
    /// Mirrors below `root`, which is created.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(git: Git, root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(Error::file("create", root))?;
        let root = std::path::absolute(root).map_err(Error::file("find", root))?;
        Ok(Self {
            git,
            root,
            writers: Arc::default(),
        })
    }

    /// The git program these mirrors use.
    #[must_use]
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// The mirror of that project.
    #[must_use]
    pub fn of(&self, project: ProjectId) -> Mirror {
        let mut writers = self.writers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (writer, door) = writers.entry(project).or_default();
        Mirror {
            git: self.git.clone(),
            dir: self.root.join(format!("{project}.git")),
            writer: Arc::clone(writer),
            door: Arc::clone(door),
        }
    }

    /// Deletes the mirror of a removed project. Deleting what is gone already is fine.
    ///
    /// # Errors
    /// The folder cannot be deleted.
    pub async fn remove(&self, project: ProjectId) -> Result<(), Error> {
        let mirror = self.of(project);
        let _alone = mirror.writer.lock().await;
        match tokio::fs::remove_dir_all(&mirror.dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("delete", &mirror.dir)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Mirror {
    /// The bare repository's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes an empty bare repository unless one is there. Written by hand: it is the same bytes as `git init` makes,
    /// without starting a program, and never copies the system's template with its hooks.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn ensure(&self, sha256: bool) -> Result<(), Error> {
        if self.dir.join("HEAD").exists() {
            return Ok(());
        }
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            let folder = self.dir.join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::file("create", folder))?;
        }
        let config = if sha256 {
            "[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
        } else {
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
        };
        // HEAD last: its presence says that the rest is complete.
        for (name, text) in [("config", config), ("HEAD", "ref: refs/heads/main\n")] {
            let file = self.dir.join(name);
            std::fs::write(&file, text).map_err(Error::file("write", file))?;
        }
        Ok(())
    }

    /// Takes over all branches and tags of `remote`, deletes those that are gone there, and points HEAD to its default
    /// branch. Refs of pipelines stay.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses ([`Error::is_transient`] tells the two apart as well as git does).
    pub async fn fetch(&self, remote: &Remote) -> Result<(), Error> {
        let _alone = self.writer.lock().await;
        let access = remote.access(&self.git)?;
        if !self.dir.join("HEAD").exists() {
            let head = self.remote_head(remote, &access).await?;
            self.ensure(head.sha256)?;
            if let Some(branch) = head.branch {
                self.point_head(&branch)?;
            }
        }
        let options = [
            "fetch",
            "--quiet",
            "--force",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
        ];
        let mut call = Call::new("fetch", &self.dir, options);
        call.args.extend(
            [
                "--",
                remote.address(),
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
            ]
            .map(Into::into),
        );
        call.env = access.env.clone();
        call.timeout = REMOTE_TIMEOUT;
        self.git.bytes(call).await.map(drop)
    }

    /// Fetches one commit that no branch or tag leads to (any more).
    ///
    /// # Errors
    /// The remote does not have it or does not give it.
    pub async fn fetch_commit(&self, remote: &Remote, commit: &Oid) -> Result<(), Error> {
        let _alone = self.writer.lock().await;
        let access = remote.access(&self.git)?;
        let mut call = Call::new(
            "fetch",
            &self.dir,
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"],
        );
        call.args.extend([remote.address(), commit.as_str()].map(Into::into));
        call.env = access.env.clone();
        call.timeout = REMOTE_TIMEOUT;
        self.git.bytes(call).await.map(drop)
    }

    /// The default branch as the mirror knows it, e.g. `main`.
    ///
    /// # Errors
    /// The mirror cannot be read.
    pub fn head(&self) -> Result<Option<String>, Error> {
        let file = self.dir.join("HEAD");
        let text = std::fs::read_to_string(&file).map_err(Error::file("read", file))?;
        Ok(text.trim().strip_prefix("ref: refs/heads/").map(str::to_owned))
    }

    /// Asks the remote for its default branch and remembers it as the mirror's.
    ///
    /// # Errors
    /// As [`Mirror::fetch`].
    pub async fn follow_head(&self, remote: &Remote) -> Result<Option<String>, Error> {
        let access = remote.access(&self.git)?;
        let head = self.remote_head(remote, &access).await?;
        if let Some(branch) = &head.branch {
            self.point_head(branch)?;
        }
        Ok(head.branch)
    }

    async fn remote_head(&self, remote: &Remote, access: &super::remote::Access) -> Result<RemoteHead, Error> {
        let mut call = Call::new(
            "ls-remote",
            self.git.home(),
            ["ls-remote", "--symref", "--", remote.address(), "HEAD"],
        );
        call.env = access.env.clone();
        call.timeout = REMOTE_TIMEOUT;
        let text = self.git.text(call).await?;
        let mut head = RemoteHead {
            branch: None,
            sha256: false,
        };
        for line in text.lines() {
            let Some((target, "HEAD")) = line.split_once('\t') else {
                continue;
            };
            match target.strip_prefix("ref: refs/heads/") {
                Some(branch) => head.branch = Some(branch.to_owned()),
                None => head.sha256 = target.len() == 64,
            }
        }
        Ok(head)
    }

    fn point_head(&self, branch: &str) -> Result<(), Error> {
        if branch.is_empty() || branch.contains("..") || branch.chars().any(|c| c.is_control() || c == ' ') {
            return Ok(());
        }
        let (file, new) = (self.dir.join("HEAD"), self.dir.join("HEAD.new"));
        std::fs::write(&new, format!("ref: refs/heads/{branch}\n")).map_err(Error::file("write", &new))?;
        std::fs::rename(&new, &file).map_err(Error::file("write", file))
    }

    /// All branches and tags with the commits they lead to, sorted by name. Tags of other things than commits are left out.
    ///
    /// # Errors
    /// Git fails.
    pub async fn refs(&self) -> Result<Vec<Ref>, Error> {
        refs(&self.git, &self.dir).await
    }

    /// Keeps a pipeline's commit reachable and fetchable as `refs/pipelines/<id>`, however its branch moves.
    ///
    /// # Errors
    /// The commit is not in the mirror, or git fails.
    pub async fn keep(&self, pipeline: PipelineId, commit: &Oid) -> Result<(), Error> {
        let name = format!("refs/pipelines/{pipeline}");
        self.git
            .bytes(Call::new(
                "update-ref",
                &self.dir,
                ["update-ref", &name, commit.as_str()],
            ))
            .await
            .map(drop)
    }

    /// Whether the pipeline has its ref, as a file of its own or packed.
    #[must_use]
    pub fn keeps(&self, pipeline: PipelineId) -> bool {
        let name = format!("refs/pipelines/{pipeline}");
        self.dir.join(&name).is_file()
            || std::fs::read_to_string(self.dir.join("packed-refs"))
                .is_ok_and(|packed| packed.lines().any(|line| line.split(' ').nth(1) == Some(&name)))
    }

    /// Lets fetches by runners wait as long as the guard lives: between saving a pipeline and writing its ref.
    pub async fn hold(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.door).read_owned().await
    }

    /// Waits until nobody [holds](Mirror::hold).
    pub(super) async fn settled(&self) {
        drop(self.door.write().await);
    }

    /// The pipelines that have a ref here.
    ///
    /// # Errors
    /// Git fails.
    pub async fn kept(&self) -> Result<Vec<PipelineId>, Error> {
        let call = Call::new(
            "for-each-ref",
            &self.dir,
            ["for-each-ref", "--format=%(refname)", "refs/pipelines"],
        );
        let text = self.git.text(call).await?;
        let number = |name: &str| name.strip_prefix("refs/pipelines/")?.parse().ok();
        Ok(text.lines().filter_map(number).collect())
    }

    /// Lets go of the commits of deleted pipelines. Unknown ones are ignored.
    ///
    /// # Errors
    /// Git fails.
    pub async fn release(&self, pipelines: &[PipelineId]) -> Result<(), Error> {
        let mut call = Call::new("update-ref", &self.dir, ["update-ref", "--stdin"]);
        for pipeline in pipelines {
            call.stdin
                .extend_from_slice(format!("delete refs/pipelines/{pipeline}\n").as_bytes());
        }
        self.git.bytes(call).await.map(drop)
    }

    /// Packs loose objects and refs when there are many. Meant for quiet hours; readers are not disturbed.
    ///
    /// # Errors
    /// Git fails.
    pub async fn tidy(&self) -> Result<(), Error> {
        let _alone = self.writer.lock().await;
        let mut call = Call::new(
            "gc",
            &self.dir,
            [
                "-c",
                "gc.auto=2000",
                "-c",
                "gc.autoDetach=false",
                "gc",
                "--auto",
                "--quiet",
            ],
        );
        call.timeout = REMOTE_TIMEOUT;
        let ended = self.git.run(call).await?;
        if ended.code == Some(0) {
            Ok(())
        } else {
            Err(failed("gc", &ended))
        }
    }
}

struct RemoteHead {
    branch: Option<String>,
    sha256: bool,
}
