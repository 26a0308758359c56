//! A server's inner parts on a folder of their own, and repositories beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::{JobId, PipelineId};
use tasuki_model::secret::Secret;
use tasuki_pipeline::{ScopedVariable, ServerInfo};
use tasuki_rt::{Clock, Tasks};
use tasuki_store::deployments::{self, NewDeployment};
use tasuki_store::environments::{self, NewEnvironment};
use tasuki_store::pipelines::{self, Filter, Pipeline};
use tasuki_store::projects::{self, NewProject, Project};
use tasuki_store::{DbUrl, State, Store, Tx};

use crate::git::{Git, Mirrors};
use crate::scheduler::{Scheduler, Settings};
use crate::triggers::answer::Reach;
use crate::triggers::{Parts, Triggers, Vault};

/// Longest wait for anything that happens in the background.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps settings in the clear.
struct Open;

impl Vault for Open {
    fn variables(&self, _: &mut Tx<'_>, _: &Project) -> tasuki_store::Result<Vec<ScopedVariable>> {
        Ok(Vec::new())
    }

    fn open(&self, sealed: &str) -> Option<Secret> {
        Some(Secret::new(sealed))
    }
}

pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) triggers: Triggers,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DbUrl::sqlite(&folder.path().join("test.db"))).unwrap();
        let (tasks, clock) = (Tasks::new(), Clock::system());
        let triggers = triggers(&folder, &store, &tasks, &clock).await;
        Self {
            folder,
            store,
            tasks,
            clock,
            triggers,
        }
    }

    /// Ends the server's parts and starts them again on the same data.
    pub(super) async fn restart(&mut self) {
        assert!(self.tasks.close_and_wait(PATIENCE).await);
        self.tasks = Tasks::new();
        self.triggers = triggers(&self.folder, &self.store, &self.tasks, &self.clock).await;
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A repository with one commit on `main`.
    pub(super) fn repository(&self, name: &str, config: &str) -> PathBuf {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main"]);
        if !config.is_empty() {
            std::fs::write(dir.join(".gitlab-ci.yml"), config).unwrap();
        }
        commit(&dir, "First");
        dir
    }

    /// Adds a project as the API does.
    pub(super) async fn add(&self, kind: &str, url: &str, settings: &str) -> Project {
        self.add_as("acme/app", kind, url, settings).await
    }

    pub(super) async fn add_as(&self, path: &str, kind: &str, url: &str, settings: &str) -> Project {
        let (path, kind, url, settings) = (path.to_owned(), kind.to_owned(), url.to_owned(), settings.to_owned());
        let now = self.triggers.now();
        let project = self.store.write(move |tx| {
            let new = NewProject {
                path: &path,
                name: path.rsplit('/').next().unwrap(),
                kind: &kind,
                url: &url,
                default_branch: "main",
                settings_json: &settings,
            };
            let id = projects::create(tx, &new, now)?;
            projects::get(tx, id)
        });
        let project = project.await.unwrap().unwrap();
        self.triggers.added(&project).await;
        project
    }

    /// The project that was added.
    pub(super) async fn project(&self) -> Project {
        let found = self.store.read(|tx| projects::by_path(tx, "acme/app")).await;
        found.unwrap().unwrap()
    }

    /// All pipelines, oldest first.
    pub(super) async fn pipelines(&self) -> Vec<Pipeline> {
        let mut all = self
            .store
            .read(|tx| pipelines::list(tx, &Filter::default(), 1000))
            .await
            .unwrap();
        all.reverse();
        all
    }

    /// As if a job had deployed to an environment from this ref.
    pub(super) async fn deploy(&self, name: &str, ref_kind: &str, ref_name: &str) {
        let (name, ref_kind, ref_name) = (name.to_owned(), ref_kind.to_owned(), ref_name.to_owned());
        let (project, now) = (self.project().await.id, self.triggers.now());
        let deployed = self.store.write(move |tx| {
            let state = State {
                tag: "available",
                json: r#"{"state":"available"}"#,
            };
            let new = NewEnvironment {
                project_id: project,
                name: &name,
                slug: &name,
                tier: "other",
                state,
            };
            let environment = environments::ensure(tx, &new, now)?;
            let new = NewDeployment {
                environment_id: environment.id,
                project_id: project,
                pipeline_id: PipelineId(0),
                job_id: JobId(0),
                job_name: "deploy",
                ref_kind: &ref_kind,
                ref_name: &ref_name,
                sha: "",
                stop_job_id: None,
            };
            let change = environments::Change {
                state,
                due_ms: None,
                tier: None,
                last_deployment_id: Some(deployments::create(tx, &new, now)?),
            };
            environments::change(tx, environment.id, environment.version, &change, now)
        });
        assert!(deployed.await.unwrap());
    }

    pub(super) async fn is_stopped(&self, name: &str) -> bool {
        let (project, name) = (self.project().await.id, name.to_owned());
        let found = self.store.read(move |tx| environments::by_name(tx, project, &name));
        found.await.unwrap().unwrap().state == "stopped"
    }

    pub(super) async fn wait_until_stopped(&self, name: &str) {
        let start = Clock::instant();
        while !self.is_stopped(name).await {
            assert!(start.elapsed() < PATIENCE, "it is not stopped");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until there are so many pipelines; gives ref and state of each, oldest first.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<(String, String)> {
        let start = Clock::instant();
        loop {
            let all = self.pipelines().await;
            if all.len() >= count {
                return all.into_iter().map(|p| (p.ref_name, p.state)).collect();
            }
            assert!(start.elapsed() < PATIENCE, "{} of {count} pipelines", all.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn triggers(folder: &tempfile::TempDir, store: &Store, tasks: &Tasks, clock: &Clock) -> Triggers {
    let scheduler = Scheduler::open(store.clone(), clock.clone(), tasks.clone(), Settings::default())
        .await
        .unwrap();
    let git = Git::prepare(&folder.path().join("git")).unwrap();
    let folder_of_blobs = folder.path().join("blobs");
    let blobs = crate::blobs::Location::Folder(folder_of_blobs).open(clock).unwrap();
    let triggers = Triggers::new(Parts {
        store: store.clone(),
        scheduler,
        mirrors: Mirrors::open(git, &folder.path().join("mirrors")).unwrap(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        vault: Arc::new(Open),
        server: ServerInfo::default(),
        reach: Reach::Anywhere,
        templates: None,
        orbs: None,
        files: crate::blobs::Files::new(store.clone(), blobs, clock.clone()),
        limits: crate::config::Limits::default(),
    });
    triggers.start().await.unwrap();
    triggers
}

/// Runs git as a user would.
pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test plays the user")]
    let mut command = std::process::Command::new("git");
    let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
    let out = command
        .args(who)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Commits everything; gives the commit's id.
pub(super) fn commit(dir: &Path, message: &str) -> String {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "--allow-empty", "-m", message]);
    git(dir, &["rev-parse", "HEAD"])
}
