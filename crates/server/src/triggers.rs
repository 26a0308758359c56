//! What starts pipelines: webhooks of forges, new commits of local repositories, requests of people.
//!
//! | Room | What may go there |
//! |---|---|
//! | `answer` | what the compiler asks for, from a commit, a folder or the network |
//! | `configurations` | which configurations a start reads |
//! | `create` | from "build this commit" to pipelines, or to the reason why there is none |
//! | `deliveries` | webhooks: checked, stored, answered, worked on |
//! | `downstream` | pipelines that jobs start |
//! | `file_schedules` | schedules that stand in workflow files |
//! | `fit` | what becomes of a Plan before it is saved |
//! | `forge/<name>` | one forge: signature, delivery id, events |
//! | `forms` | what configurations ask of whoever starts a pipeline by hand |
//! | `here` | a folder of this machine as a project (`compile`, `exec`) |
//! | `housekeeping` | mirrors are kept small |
//! | `key` | what tells one start from another |
//! | `local` | folders of this machine: their refs are watched |
//! | `merges` | pipelines of merge requests |
//! | `message` | what a commit's message says |
//! | `schedules` | pipelines that start by the clock |
//! | `select` | a part of a Plan: named jobs and what they need |
//! | `source` | where a project's commits come from |
//! | `suppose` | what would come of a start |
//!
//! Loops here take no input: they are woken and read the database again, so that a restart at any instant loses nothing
//! and doubles nothing (every event has an idempotency key).

pub mod answer;
mod configurations;
mod create;
mod deliveries;
mod downstream;
mod error;
mod file_schedules;
mod fit;
pub mod forge;
mod forms;
pub mod here;
mod housekeeping;
mod key;
mod local;
mod merges;
mod message;
mod request;
mod schedules;
mod select;
mod source;
mod suppose;
mod watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tasuki_model::id::ProjectId;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::GitRef;
use tasuki_pipeline::{ScopedVariable, ServerInfo};
use tasuki_rt::{Clock, Tasks};
use tasuki_store::{Store, Tx, projects};
use tokio::sync::{Mutex, Notify};

pub use configurations::{Made, first};
pub(crate) use create::shown_to;
pub use create::{Circumstances, Read, Start, Started, project_info};
pub use deliveries::Received;
pub use downstream::{Continued, continuation_of, setup_of};
pub use error::{Error, HookRefused, NoPipeline};
pub use key::Key;
pub use request::Want;
pub use schedules::{BadSchedule, next as next_turn};
pub use select::Selection;
pub use suppose::Planned;

use crate::blobs::Files;
use crate::config::Limits;
use crate::git::Mirrors;
use crate::scheduler::Scheduler;
use answer::{Reach, Remote};
use watch::Watcher;

/// Reads what the settings keep encrypted.
pub trait Vault: Send + Sync {
    /// The variables that a pipeline of the project sees, from the instance's to the project's.
    ///
    /// # Errors
    /// When the database fails or a value cannot be decrypted.
    fn variables(&self, tx: &mut Tx<'_>, project: &projects::Project) -> tasuki_store::Result<Vec<ScopedVariable>>;

    /// The text of a sealed setting (webhook secret, deploy key); `None` where it cannot be opened.
    fn open(&self, sealed: &str) -> Option<Secret>;
}

/// What [`Triggers`] works with.
pub struct Parts {
    pub store: Store,
    pub scheduler: Scheduler,
    pub mirrors: Mirrors,
    pub clock: Clock,
    pub tasks: Tasks,
    pub vault: Arc<dyn Vault>,
    pub server: ServerInfo,
    /// Which hosts `include: remote` may lead to.
    pub reach: Reach,
    /// Folder of templates (`include: template`).
    pub templates: Option<PathBuf>,
    /// Folder of orbs (CircleCI).
    pub orbs: Option<PathBuf>,
    /// What jobs left: child pipelines may be made of it.
    pub files: Files,
    pub limits: Limits,
}

/// Starts pipelines. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Triggers {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    remote: Remote,
    /// Wakes the loop over schedules.
    rescheduled: Notify,
    /// Wakes the loop over stored webhooks.
    delivered: Notify,
    watcher: Watcher,
    /// One look at a project's refs at a time: what moved is decided against what was seen last.
    looking: std::sync::Mutex<HashMap<ProjectId, Arc<Mutex<()>>>>,
}

impl Triggers {
    /// Nothing is watched yet: see [`Triggers::start`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let remote = Remote::new(parts.reach);
        Self {
            inner: Arc::new(Inner {
                remote,
                rescheduled: Notify::new(),
                delivered: Notify::new(),
                watcher: Watcher::new(),
                looking: std::sync::Mutex::default(),
                parts,
            }),
        }
    }

    /// Takes up what a former life left: refs of live pipelines, stored webhooks, local folders whose refs moved
    /// meanwhile. Returns when everything is watched; the work itself goes on in tasks.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(&self) -> Result<(), Error> {
        self.keep_live_pipelines().await?;
        self.start_deliveries();
        self.start_downstream();
        self.start_schedules();
        self.start_housekeeping();
        self.start_local().await
    }

    /// A project was added: a folder is watched from now on, and its present branch is built. A repository by URL is
    /// fetched in the background. What moves after this has returned starts a pipeline.
    pub async fn added(&self, project: &projects::Project) {
        // First: a look that the kernel's reports lead to must not find them unnoted.
        self.note_present_refs(project).await;
        self.watch(project);
        let (this, project) = (self.clone(), project.clone());
        self.inner
            .parts
            .tasks
            .spawn("first look", async move { this.look(project).await });
    }

    /// A project was removed: its folder is let go of, its mirror deleted.
    ///
    /// # Errors
    /// The mirror cannot be deleted.
    pub async fn removed(&self, project: ProjectId) -> Result<(), Error> {
        self.inner.watcher.forget(project);
        Ok(self.inner.parts.mirrors.remove(project).await?)
    }

    /// Stops the environments that were last deployed to from a branch, tag or merge request that is gone. Gives how many
    /// those are; a second time there are none.
    async fn ref_is_gone(&self, project: ProjectId, git_ref: &GitRef) -> Result<usize, Error> {
        let scheduler = &self.inner.parts.scheduler;
        let stopped = scheduler.stop_environments_of(project, git_ref).await?;
        if stopped > 0 {
            tracing::info!(
                project.id = project.0,
                git_ref = git_ref.full(),
                stopped,
                "environments of a ref that is gone"
            );
        }
        Ok(stopped)
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.inner.parts.clock.now_ms())
    }

    fn turn(&self, project: ProjectId) -> Arc<Mutex<()>> {
        let mut all = self
            .inner
            .looking
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(all.entry(project).or_default())
    }
}

/// `namespace/name` from any name of a folder or repository: what URLs and file systems cannot bear becomes `-`.
#[must_use]
pub fn project_path(namespace: &str, name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(kept).take(100).collect();
    let name = name
        .trim_start_matches(['-', '.', '_'])
        .trim_end_matches(['-', '.'])
        .trim_end_matches(".git");
    let name = if name.is_empty() { "project" } else { name };
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests;
