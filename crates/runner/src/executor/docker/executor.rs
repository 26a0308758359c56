//! Making sandboxes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tasuki_rt::Tasks;
use tokio::sync::Mutex;

use super::engine::{Address, Engine};
use super::owner::Owner;
use super::provision::{self, Guest};
use super::{prepare, sweep};
use crate::config::DockerConfig;
use crate::executor::{Error, Executor, Output, Result, Sandbox, Stop, Swept, Task};
use crate::process::Binary;

/// Where the engine is looked for when nobody says.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];

/// Settings of the docker executor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[runners.docker]`.
    pub config: DockerConfig,
    /// Folder of the sources inside; absolute.
    pub builds_dir: String,
    /// Folder of the caches inside; absolute.
    pub cache_dir: String,
    /// Of `.runner_system_id`: a part of the names of cache volumes.
    pub system_id: String,
    /// Folder of this runner's lock files.
    pub state_dir: PathBuf,
    /// What is put into containers as the guest.
    pub binary: Binary,
    /// Where the predefined container's network is.
    pub guest_network: GuestNetwork,
    pub surroundings: Surroundings,
    /// `[runners.feature_flags]`
    pub feature_flags: BTreeMap<String, bool>,
}

/// What the process's environment says.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`
    pub docker_host: Option<String>,
    /// `DOCKER_CERT_PATH`, where `DOCKER_TLS_VERIFY` is set.
    pub docker_cert_path: Option<PathBuf>,
    /// Folder of `config.json`: `DOCKER_CONFIG`, or `.docker` of the user's home.
    pub config_dir: Option<PathBuf>,
    /// For credential helpers.
    pub home: Option<String>,
    /// Where programs (git, credential helpers) are looked for.
    pub path: String,
}

impl Surroundings {
    /// Reads them from the environment, as Docker's own tools do.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = set("HOME");
        let verified = set("DOCKER_TLS_VERIFY").is_some() || set("DOCKER_CERT_PATH").is_some();
        let default = home.as_ref().map(|home| PathBuf::from(home).join(".docker"));
        Self {
            docker_host: set("DOCKER_HOST"),
            docker_cert_path: set("DOCKER_CERT_PATH")
                .map(PathBuf::from)
                .or_else(|| default.clone())
                .filter(|_| verified),
            config_dir: set("DOCKER_CONFIG").map(PathBuf::from).or(default),
            home,
            path: set("PATH").unwrap_or_else(|| crate::executor::shell::Config::DEFAULT_PATH.to_owned()),
        }
    }
}

/// Network of the container that fetches sources and moves caches and artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuestNetwork {
    /// The job's own.
    #[default]
    Job,
    /// The engine's machine's: for a server that listens at its loopback only.
    Host,
}

/// The docker executor.
#[derive(Debug)]
pub struct Docker {
    shared: Arc<Shared>,
}

/// What all sandboxes of an executor use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tasks: Tasks,
    pub(super) owner: Owner,
    address: Address,
    connected: Mutex<Option<(Engine, Guest)>>,
}

impl Docker {
    /// Checks the settings; the engine is first spoken to by [`Executor::prepare`]. `tasks` takes what follows
    /// services and what cleans up after calls that were dropped.
    ///
    /// # Errors
    /// Folders that are not absolute, an address that is none, a state folder that cannot be written to.
    pub fn new(settings: Settings, tasks: Tasks) -> Result<Self> {
        for (key, path) in [("builds_dir", &settings.builds_dir), ("cache_dir", &settings.cache_dir)] {
            if !path.starts_with('/') || path.contains(':') || path.split('/').any(|part| part == "..") {
                return Err(Error::configuration(
                    format!("{key} = {path:?} is no folder inside a container"),
                    "give an absolute path without colons",
                ));
            }
        }
        let address = address(&settings).map_err(|error| {
            Error::configuration(error.to_string(), "set `host` in [runners.docker], or DOCKER_HOST")
        })?;
        let owner = Owner::new(&settings.state_dir)?;
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                tasks,
                owner,
                address,
                connected: Mutex::new(None),
            }),
        })
    }
}

fn address(settings: &Settings) -> super::engine::Result<Address> {
    let config = &settings.config;
    let around = &settings.surroundings;
    let text = Some(config.host.as_str())
        .filter(|host| !host.is_empty())
        .or(around.docker_host.as_deref());
    let certificates = if config.tls_cert_path.is_empty() {
        around.docker_cert_path.clone()
    } else {
        Some(PathBuf::from(&config.tls_cert_path))
    };
    match text {
        Some(text) if config.tls_verify && certificates.is_none() && !text.starts_with("unix://") => {
            Err(super::engine::Error::Address {
                message: format!(
                    "tls_verify is set for {text}, and nothing says by which certificates: set tls_cert_path (or \
                     DOCKER_CERT_PATH) to a folder of ca.pem, cert.pem and key.pem"
                ),
            })
        }
        Some(text) => Address::parse(text, certificates),
        None => {
            let found = SOCKETS.iter().find(|path| std::path::Path::new(path).exists());
            Ok(Address::Socket(PathBuf::from(found.unwrap_or(&SOCKETS[0]))))
        }
    }
}

impl Shared {
    /// The engine. Connects when nobody has yet.
    pub(super) async fn engine(&self) -> Result<Engine> {
        if let Some((engine, _)) = &*self.connected.lock().await {
            return Ok(engine.clone());
        }
        Engine::connect(self.address.clone())
            .await
            .map_err(|error| Error::system("reach the container engine", error))
    }

    /// The engine, with the helper image and the guest's volume in place. One at a time makes them.
    pub(super) async fn ready(&self) -> Result<(Engine, Guest)> {
        let mut connected = self.connected.lock().await;
        if let Some((engine, guest)) = &*connected
            && provision::is_there(engine, guest).await?
        {
            return Ok((engine.clone(), guest.clone()));
        }
        let engine = Engine::connect(self.address.clone())
            .await
            .map_err(|error| Error::system("reach the container engine", error))?;
        let guest = provision::provide(&engine, self).await?;
        *connected = Some((engine.clone(), guest.clone()));
        Ok((engine, guest))
    }
}

#[async_trait]
impl Executor for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    async fn prepare(&self, task: Task, stop: Stop, output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let sandbox = Box::pin(prepare::prepare(Arc::clone(&self.shared), task, stop, output)).await?;
        Ok(Box::new(sandbox))
    }

    async fn sweep(&self) -> Result<Swept> {
        let engine = self.shared.engine().await?;
        sweep::sweep(&engine, &self.shared.owner).await
    }

    async fn audit(&self) -> Result<Vec<String>> {
        let engine = self.shared.engine().await?;
        sweep::audit(&engine).await
    }
}
