//! All runners of a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::secret::Secret;
use tasuki_proto::client::{RunnerClient, TlsFiles, TransportConfig};
use tasuki_rt::{CancellationToken, Clock, Tasks};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::adaptive::Adaptive;
use super::entry::{Entry, Places, Quota};
use super::executors::ExecutorFactory;
use super::gate::Gate;
use super::health::Health;
use super::slots::Slots;
use super::{Error, reload};
use crate::config::{Config, Environment, RunnerConfig};
use crate::job::{AwsSurroundings, Host, Keyring, Pauses, Progress, Shutdown, runner_info};
use crate::metrics::Metrics;
use crate::trace::chain;

/// Where changed settings come from.
#[derive(Clone)]
pub struct Reload {
    pub path: PathBuf,
    pub environment: Environment,
    /// Read now (SIGHUP); besides, a changed file is noticed within three seconds.
    pub now: Arc<Notify>,
    /// Called with each configuration before it is taken over.
    pub applied: Arc<dyn Fn(&Config) + Send + Sync>,
}

/// What a pool is started with.
pub struct PoolOptions {
    pub config: Config,
    /// Absent: the settings stay as they are.
    pub reload: Option<Reload>,
    pub system_id: String,
    /// Folder with `certs/<host>.crt`; absent = none is looked for.
    pub certs_dir: Option<PathBuf>,
    /// Folder of the logs' spool files; made when missing.
    pub spool_dir: PathBuf,
    pub executors: Arc<ExecutorFactory>,
    /// See [`Host::trusts_snapshots`].
    pub trusts_snapshots: bool,
    pub clock: Clock,
    /// Runs everything; its token is not used: pull [`Shutdown`].
    pub tasks: Tasks,
    /// What the environment says of Amazon's services, for caches.
    pub aws: Arc<AwsSurroundings>,
    pub pauses: Pauses,
    pub metrics: Arc<Metrics>,
    /// Ends after so many jobs.
    pub max_jobs: Option<u32>,
    /// Ends when no job came for so long.
    pub idle_limit: Option<Duration>,
}

/// All runners of a process: an [`Entry`] for each usable `[[runners]]` section.
pub struct Pool {
    pub(super) options: PoolOptions,
    pub(super) config: Config,
    concurrent: Gate,
    places: BTreeMap<Key, Places>,
    entries: Vec<(RunnerConfig, Arc<Entry>)>,
    shutdown: Shutdown,
    quota: Arc<Quota>,
}

/// What makes a registration the same one when the settings are read again.
type Key = (String, String);

impl Pool {
    /// Checks the settings, sweeps what earlier lives left, and begins to ask for work.
    ///
    /// # Errors
    /// When no runner can be used, or the spool folder cannot be made.
    pub async fn start(options: PoolOptions, shutdown: Shutdown) -> Result<Self, Error> {
        std::fs::create_dir_all(&options.spool_dir).map_err(|source| Error::Folder {
            path: options.spool_dir.clone(),
            source,
        })?;
        let config = options.config.clone();
        let quota = Arc::new(Quota {
            most: options.max_jobs,
            ..Quota::default()
        });
        let mut pool = Self {
            concurrent: Gate::new(config.concurrent),
            config: config.clone(),
            options,
            places: BTreeMap::new(),
            entries: Vec::new(),
            shutdown,
            quota,
        };
        let problems = pool.apply(config).await;
        if pool.entries.is_empty() && pool.options.reload.is_none() {
            return Err(Error::NoRunner(problems.join("; ")));
        }
        Ok(pool)
    }

    /// Works until the shutdown is over: all jobs have ended, or a forced stop took longer than `shutdown_timeout`.
    /// Says whether all jobs have ended.
    pub async fn run(mut self) -> bool {
        let shutdown = self.shutdown.clone();
        let (quota, idle_limit) = (Arc::clone(&self.quota), self.options.idle_limit);
        let idle = async move {
            let Some(limit) = idle_limit else {
                return std::future::pending().await;
            };
            // Each job starts the time anew.
            while tokio::time::timeout(limit, quota.first.notified()).await.is_ok() {}
        };
        tokio::select! {
            () = shutdown.draining() => {}
            () = reload::follow(&mut self) => {}
            () = idle => {
                info!("no job came within the time limit");
                shutdown.drain();
            }
        }
        self.retire_all();
        let tasks = self.options.tasks.clone();
        let limit = self.config.shutdown_limit();
        let metrics = Arc::clone(&self.options.metrics);
        let ended = metrics.all_jobs_ended();
        tokio::select! {
            () = ended => true,
            () = async { shutdown.forced().await; tokio::time::sleep(limit).await } => {
                warn!(limit_s = limit.as_secs(), "jobs did not end within shutdown_timeout");
                drop(tasks);
                false
            }
        }
    }

    /// Whether nothing asks for work.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes over new settings: unchanged runners go on undisturbed. Gives what could not be used.
    pub(super) async fn apply(&mut self, config: Config) -> Vec<String> {
        let mut problems = Vec::new();
        self.concurrent.resize(config.concurrent);
        self.options.metrics.configured(&config);
        let globals_changed =
            self.config.labels != config.labels || self.config.check_interval != config.check_interval;
        let mut old = std::mem::take(&mut self.entries);
        for runner in &config.runners {
            let same = old.iter().position(|(before, _)| before == runner && !globals_changed);
            if let Some(at) = same {
                self.entries.push(old.remove(at));
                continue;
            }
            if runner.token.expose().is_empty() {
                problems.push(format!("runner {:?} has no token", runner.name));
                continue;
            }
            match self.entry(&config, runner).await {
                Ok(entry) => {
                    entry.start();
                    self.entries.push((runner.clone(), entry));
                }
                Err(problem) => {
                    error!(runner = %runner.name, problem, "the runner cannot be used");
                    problems.push(problem);
                }
            }
        }
        for (_, entry) in old {
            entry.retired.cancel();
        }
        self.config = config;
        problems
    }

    async fn entry(&mut self, config: &Config, runner: &RunnerConfig) -> Result<Arc<Entry>, String> {
        let executor = (self.options.executors)(runner).map_err(|error| chain(&error))?;
        match executor.sweep().await {
            Ok(swept) if swept.sandboxes + swept.processes > 0 => {
                info!(
                    sandboxes = swept.sandboxes,
                    processes = swept.processes,
                    "removed what an earlier life left"
                );
            }
            Ok(_) => {}
            Err(error) => warn!(error = %chain(&error), "what an earlier life left cannot be removed"),
        }
        if let Err(error) = executor.begin().await {
            warn!(error = %chain(&error), "no room is held for jobs to come");
        }
        let metrics = &self.options.metrics;
        metrics.works_with(runner.short_token(), &runner.name, &executor);
        let client = client(config, runner, self.options.certs_dir.as_deref(), &self.options.metrics)?;
        let key = (runner.url.clone(), runner.token.expose().to_owned());
        let places = self.places.entry(key).or_insert_with(|| Places {
            limit: Gate::new(runner.limit),
            slots: Slots::default(),
        });
        places.limit.resize(runner.limit);
        let mut labels = config.labels.clone();
        labels.extend(runner.labels.clone());
        let info = runner_info(executor.kind(), labels);
        let keyring = Keyring::new(self.options.aws.clone(), &self.options.system_id, &runner.cache);
        Ok(Arc::new(Entry {
            host: Host {
                config: Arc::new(runner.clone()),
                client: Arc::new(client),
                info,
                executor,
                system_id: self.options.system_id.clone(),
                spool_dir: self.options.spool_dir.clone(),
                trusts_snapshots: self.options.trusts_snapshots,
                clock: self.options.clock.clone(),
                tasks: self.options.tasks.clone(),
                keyring: Arc::new(keyring),
                pauses: self.options.pauses,
                progress: Progress::default(),
            },
            places: places.clone(),
            concurrent: self.concurrent.clone(),
            check_pause: config.check_pause(),
            shutdown: self.shutdown.clone(),
            retired: CancellationToken::new(),
            metrics: Arc::clone(&self.options.metrics),
            quota: Arc::clone(&self.quota),
            health: Health::new(runner.unhealthy_limit(), runner.unhealthy_pause()),
            adaptive: Adaptive::of(runner),
            widened: Notify::new(),
        }))
    }

    fn retire_all(&mut self) {
        for (_, entry) in self.entries.drain(..) {
            entry.retired.cancel();
        }
    }

    /// Runners whose token should be exchanged: position in the settings, client and token.
    pub(super) fn clients(&self) -> impl Iterator<Item = (&RunnerConfig, Arc<RunnerClient>, Secret)> {
        self.entries
            .iter()
            .map(|(runner, entry)| (runner, Arc::clone(&entry.host.client), runner.token.clone()))
    }
}

/// A client of the runner's server.
pub(crate) fn client(
    config: &Config,
    runner: &RunnerConfig,
    certs_dir: Option<&std::path::Path>,
    metrics: &Arc<Metrics>,
) -> Result<RunnerClient, String> {
    let mut tls = TlsFiles {
        ca: runner.tls_ca_file.clone(),
        cert: runner.tls_cert_file.clone(),
        key: runner.tls_key_file.clone(),
    };
    if let Some(dir) = certs_dir
        && let Some(host) = url::Url::parse(&runner.url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
    {
        tls = tls.probe(dir, &host);
    }
    let transport = TransportConfig {
        tls,
        user_agent: format!(
            "tasuki-runner {} ({}/{})",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ),
        connection_max_age: config.connection_age(),
        ..TransportConfig::default()
    };
    let observer = Arc::clone(metrics) as Arc<dyn tasuki_proto::client::Observer>;
    RunnerClient::new(&runner.url, transport)
        .map(|client| client.with_observer(observer))
        .map_err(|error| format!("runner {:?}: {}", runner.name, chain(&error)))
}
