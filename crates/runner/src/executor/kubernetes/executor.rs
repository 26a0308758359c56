//! Making sandboxes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tasuki_model::secret::Secret;
use tasuki_rt::Tasks;
use tokio::sync::Mutex;

use super::cluster::{Cluster, Repeats};
use super::connect::Access;
use super::make::{self, Rest};
use super::pause::{Active, Keeper, Policies, Shown, Work};
use super::prepare;
use super::record;
use super::rights::Known;
use super::settings::{GuestStart, Settings};
use crate::executor::{Error, Executor, Held, Output, Result, Sandbox, Stop, Swept, Task, helper_image};
use crate::process::Binary;

/// The kubernetes executor.
#[derive(Debug)]
pub struct Kubernetes {
    shared: Arc<Shared>,
    /// Of the pause pods, where there are any.
    keeper: Mutex<Option<Keeper>>,
}

/// What all sandboxes of an executor use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tasks: Tasks,
    /// Folder of the records.
    pub(super) records: PathBuf,
    access: Access,
    /// What the runner's own account may do.
    pub(super) known: Known,
    connected: Mutex<Option<Cluster>>,
    pub(super) active: Active,
    /// Of the pause pods.
    shown: Shown,
}

impl Kubernetes {
    /// Checks the settings; the cluster is first spoken to by [`Executor::prepare`]. `state` is the folder of this runner's
    /// records, `binary` the program that the helper image holds. `tasks` takes what follows pods and what cleans up after
    /// calls that were dropped.
    ///
    /// # Errors
    /// The program cannot be looked at.
    pub fn new(mut settings: Settings, state: &std::path::Path, binary: &Binary, tasks: Tasks) -> Result<Self> {
        let access = Access::of(&settings.config);
        if helper_image::is_dynamic(binary.path())? {
            settings.guest_start = GuestStart::Loaded;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                tasks,
                records: state.join("kubernetes"),
                access,
                known: Known::default(),
                connected: Mutex::new(None),
                active: Active::default(),
                shown: Shown::default(),
            }),
            keeper: Mutex::new(None),
        })
    }
}

impl Shared {
    /// The cluster, by the runner's own account or by a job's token.
    pub(super) async fn cluster_of(&self, token: Option<&Secret>) -> Result<Cluster> {
        if let Some(token) = token {
            let access = Access {
                bearer_token: Some(token.clone()),
                // The token is who the job is.
                cert_file: String::new(),
                key_file: String::new(),
                ..self.access.clone()
            };
            return connect(&access, &self.settings).await;
        }
        let mut connected = self.connected.lock().await;
        if let Some(cluster) = &*connected {
            return Ok(cluster.clone());
        }
        let cluster = connect(&self.access, &self.settings).await?;
        *connected = Some(cluster.clone());
        Ok(cluster)
    }
}

/// A connection that repeats calls as the settings say. Nothing is sent yet.
pub(super) async fn connect(access: &Access, settings: &Settings) -> Result<Cluster> {
    let retry = &settings.retry;
    let (client, address) = access.connect().await?;
    Ok(Cluster {
        client,
        address,
        repeats: Repeats {
            tries: retry.limit,
            named: retry.limits.clone(),
            most: retry.backoff_max,
        },
    })
}

#[async_trait]
impl Executor for Kubernetes {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    async fn prepare(&self, task: Task, stop: Stop, output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let sandbox = Box::pin(prepare::prepare(Arc::clone(&self.shared), task, stop, output)).await?;
        Ok(Box::new(sandbox))
    }

    /// By what is written down: of this machine's dead processes alone. A cluster that cannot be reached, or an account
    /// that may not remove something, leaves the records where they are.
    async fn sweep(&self) -> Result<Swept> {
        let (mut swept, mut result) = (Swept::default(), Ok(()));
        let cluster = self.shared.cluster_of(None).await?;
        for record in record::abandoned(&self.shared.records, &cluster.address)? {
            let removed = make::remove(&cluster, record.written(), Rest::Unknown, Some(0)).await;
            match removed.and_then(|pods| record.remove().map(|()| pods)) {
                Ok(pods) => {
                    swept.sandboxes += 1;
                    swept.processes += pods;
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| swept)
    }

    /// Begins to keep pause pods.
    async fn begin(&self) -> Result<()> {
        let shared = &self.shared;
        let Some(policies) = Policies::of(shared.settings.config.autoscaler.as_ref())? else {
            return Ok(());
        };
        let work = Work {
            cluster: shared.cluster_of(None).await?,
            settings: shared.settings.clone(),
            records: shared.records.clone(),
            active: shared.active.clone(),
            shown: shared.shown.clone(),
        };
        let mut keeper = self.keeper.lock().await;
        if keeper.is_none() {
            *keeper = Some(Keeper::start(work, policies, &shared.tasks)?);
        }
        Ok(())
    }

    fn held(&self) -> Option<Held> {
        self.shared.shown.get()
    }

    async fn audit(&self) -> Result<Vec<String>> {
        let cluster = self.shared.cluster_of(None).await?;
        match make::audit(&cluster, None).await {
            // An account of one namespace sees that one.
            Err(Error::Configuration { .. }) => make::audit(&cluster, Some(&self.shared.settings.namespace)).await,
            other => other,
        }
    }
}
