//! A runner inside this process: it meets the server over HTTP like any other.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_proto::client::ApiClient;
use tasuki_proto::rest::{NewRunner, Runner};
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::config::{Config, CustomBuildDir, DockerConfig, KubernetesConfig, OneOrMany, RunnerConfig};
use tasuki_runner::executor::docker::Surroundings;
use tasuki_runner::executor::kubernetes::Settings;
use tasuki_runner::identity::fresh_system_id;
use tasuki_runner::job::{Pauses, Shutdown};
use tasuki_runner::poll::{Defaults, Pool, PoolOptions, executors};
use tasuki_server::identity::token;
use tasuki_store::{Store, Tx, runners};
use tokio::sync::oneshot;

/// A runner's registration, as it is kept between two lives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Registration {
    id: i64,
    pub(crate) token: Secret,
}

impl Registration {
    /// The registration kept in `file`, or a new one where there is none or the server does not know it any more.
    pub(crate) async fn kept(client: &ApiClient, file: &Path, name: &str) -> anyhow::Result<Self> {
        let kept: Option<Self> = std::fs::read(file)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(kept) = kept
            && client.get::<Runner>(&format!("runners/{}", kept.id)).await.is_ok()
        {
            return Ok(kept);
        }
        let made = Self::new(client, name).await?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(file)
            .and_then(|mut out| out.write_all(&serde_json::to_vec(&made)?));
        written.with_context(|| format!("cannot write {}", file.display()))?;
        Ok(made)
    }

    /// A new registration.
    pub(crate) async fn new(client: &ApiClient, name: &str) -> anyhow::Result<Self> {
        let new = NewRunner {
            name: name.to_owned(),
            run_untagged: Some(true),
            tags: labels(),
            ..NewRunner::default()
        };
        let made = client
            .create_runner(&new)
            .await
            .context("the local runner cannot be registered")?;
        Ok(Self {
            id: made.runner.id,
            token: Secret::new(made.token),
        })
    }
}

/// A token for a runner that is going to be registered by [`register_inside`].
pub(crate) fn new_token() -> anyhow::Result<Secret> {
    token::new(token::Kind::Runner).context("there are no random numbers")
}

/// Registers a runner at a server of this process, past its API.
pub(crate) async fn register_inside(store: &Store, clock: &Clock, name: &str, token: &Secret) -> anyhow::Result<()> {
    let (hash, name, now) = (
        token::digest(token.expose()),
        name.to_owned(),
        Timestamp(clock.now_ms()),
    );
    let mut tags = labels();
    tags.sort_unstable();
    let tags = serde_json::to_string(&tags)?;
    let create = move |tx: &mut Tx<'_>| {
        let new = runners::NewRunner {
            token_hash: &hash,
            description: &name,
            scope: "instance",
            project_id: None,
            resource_class_id: None,
            tags_json: &tags,
            run_untagged: true,
            locked: false,
            paused: false,
            access_level: "not_protected",
            maximum_timeout_s: None,
            maintenance_note: "",
            token_expires_ms: None,
        };
        runners::create(tx, &new, now)
    };
    let made = store.write(create).await;
    made.context("the local runner cannot be registered").map(drop)
}

/// The labels that GitHub gives to a runner on such a machine, and those of its own machines of that kind: workflows
/// name them in `runs-on`.
fn labels() -> Vec<String> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let of_system: &[&str] = match std::env::consts::OS {
        "linux" => &["linux", "ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"],
        "macos" => &["macos", "macos-latest"],
        _ => &[],
    };
    of_system.iter().copied().chain([arch]).map(str::to_owned).collect()
}

/// What a runner inside this process is started with.
pub(crate) struct LocalRunner {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) token: Secret,
    /// Jobs at a time.
    pub(crate) slots: u32,
    pub(crate) executor: LocalExecutor,
    /// Builds, caches and spool files.
    pub(crate) folder: PathBuf,
    /// The server may name a folder of this machine as the source (`exec`).
    pub(crate) trusts_snapshots: bool,
}

/// How a runner inside this process runs jobs.
#[derive(Debug, Clone)]
pub(crate) enum LocalExecutor {
    Shell,
    Docker {
        /// Of jobs that name none.
        image: Option<String>,
    },
    Kubernetes {
        /// Of jobs that name none.
        image: Option<String>,
        helper_image: Option<String>,
        namespace: Option<String>,
    },
}

/// The section of a pods' runner, checked.
///
/// # Errors
/// Something in it is no value of its kind.
pub(crate) fn local_settings(executor: &LocalExecutor) -> anyhow::Result<Settings> {
    let runner = RunnerConfig {
        kubernetes: executor.clone().kubernetes(),
        ..RunnerConfig::default()
    };
    Ok(Settings::new(&runner)?)
}

impl LocalExecutor {
    fn name(&self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Docker { .. } => "docker",
            Self::Kubernetes { .. } => "kubernetes",
        }
    }

    /// An image that is here is good enough for a runner of one's own.
    fn docker(self) -> Option<DockerConfig> {
        match self {
            Self::Shell | Self::Kubernetes { .. } => None,
            Self::Docker { image } => Some(DockerConfig {
                image: image.unwrap_or_default(),
                pull_policy: OneOrMany::One("if-not-present".to_owned()),
                allowed_pull_policies: ["always", "if-not-present", "never"].map(str::to_owned).to_vec(),
                ..DockerConfig::default()
            }),
        }
    }

    /// As for containers: an image that is on the nodes is good enough.
    fn kubernetes(self) -> Option<KubernetesConfig> {
        match self {
            Self::Shell | Self::Docker { .. } => None,
            Self::Kubernetes {
                image,
                helper_image,
                namespace,
            } => Some(KubernetesConfig {
                image: image.unwrap_or_default(),
                helper_image: helper_image.unwrap_or_default(),
                namespace: namespace.unwrap_or_default(),
                pull_policy: OneOrMany::One("if-not-present".to_owned()),
                allowed_pull_policies: ["always", "if-not-present", "never"].map(str::to_owned).to_vec(),
                ..KubernetesConfig::default()
            }),
        }
    }
}

/// A runner that works on a thread of its own.
pub(crate) struct RunningRunner {
    shutdown: Shutdown,
    ended: oneshot::Receiver<anyhow::Result<bool>>,
}

impl LocalRunner {
    /// Starts it.
    pub(crate) fn start(self) -> anyhow::Result<RunningRunner> {
        let shutdown = Shutdown::new();
        let (send, ended) = oneshot::channel();
        let inner = shutdown.clone();
        let work = move || {
            let outcome = super::block_on(self.work(inner));
            // Nobody listens when the process ends already.
            let _ = send.send(outcome);
        };
        std::thread::Builder::new()
            .name("runner".to_owned())
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(RunningRunner { shutdown, ended })
    }

    async fn work(self, shutdown: Shutdown) -> anyhow::Result<bool> {
        let tasks = Tasks::new();
        let runner = RunnerConfig {
            name: self.name,
            // Pods find the repositories where they find the server, whatever it calls itself.
            clone_url: match self.executor {
                LocalExecutor::Kubernetes { .. } => self.url.clone(),
                LocalExecutor::Shell | LocalExecutor::Docker { .. } => String::new(),
            },
            url: self.url,
            token: self.token,
            executor: self.executor.name().to_owned(),
            docker: self.executor.clone().docker(),
            kubernetes: self.executor.kubernetes(),
            request_concurrency: self.slots.clamp(1, 4),
            custom_build_dir: CustomBuildDir { enabled: Some(true) },
            ..RunnerConfig::default()
        };
        let system_id = fresh_system_id();
        let defaults = Defaults {
            working_dir: self.folder.clone(),
            user: None,
            path: None,
            binary: None,
            system_id: "local".to_owned(),
            surroundings: Surroundings::read(|name| {
                std::env::vars_os().find_map(|(key, value)| (key == name).then(|| value.into_string().ok())?)
            }),
            environment: Vec::new(),
        };
        let options = PoolOptions {
            config: Config::single(self.slots, runner),
            reload: None,
            system_id,
            certs_dir: None,
            spool_dir: self.folder.join("spool"),
            executors: executors(defaults, tasks.clone()),
            trusts_snapshots: self.trusts_snapshots,
            clock: Clock::system(),
            tasks: tasks.clone(),
            aws: Arc::default(),
            pauses: Pauses::default(),
            metrics: Arc::default(),
            max_jobs: None,
            idle_limit: None,
        };
        let pool = Pool::start(options, shutdown)
            .await
            .context("the runner cannot start")?;
        let ended = pool.run().await;
        tasks.close_and_wait(std::time::Duration::from_secs(5)).await;
        Ok(ended)
    }
}

impl RunningRunner {
    /// Takes nothing new; what runs is finished.
    pub(crate) fn drain(&self) {
        self.shutdown.drain();
    }

    /// Ends what runs.
    pub(crate) fn cancel(&self) {
        self.shutdown.force();
    }

    /// Resolves when it has ended; says whether all its jobs have.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<bool> {
        match (&mut self.ended).await {
            Ok(outcome) => outcome,
            Err(_) => anyhow::bail!("the runner's thread has died"),
        }
    }
}
