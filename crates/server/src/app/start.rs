//! Start and end of a server process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_pipeline::ServerInfo;
use tasuki_rt::{CancellationToken, Clock, Tasks};
use tasuki_store::{DbUrl, Store};
use tokio::net::TcpListener;

use super::state::Parts;
use super::{App, Error, Events, Vault};
use crate::blobs::{Files, Location, Sweeping};
use crate::config::Config;
use crate::environments;
use crate::git::{Git, Mirrors};
use crate::http::runner_api::Contacts;
use crate::http::{self, RateLimiter};
use crate::identity;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::scheduler::{Scheduler, Settings};
use crate::secrets::Keyring;
use crate::terminals::Terminals;
use crate::triggers::answer::Reach;
use crate::triggers::{self, Triggers};

/// A server that serves. Dropping it leaves it running until the process ends; see [`Running::shutdown`].
pub struct Running {
    app: App,
    address: SocketAddr,
}

impl App {
    /// Starts a server; when this returns it serves.
    ///
    /// # Errors
    /// [`Error`] names what does not work and what to do about it.
    pub async fn start(config: Config) -> Result<Running, Error> {
        Self::start_at(config, Clock::system()).await
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_at(config: Config, clock: Clock) -> Result<Running, Error> {
        prepare(&config)?;
        let store = open_store(&config).await?;
        let listener = TcpListener::bind(config.listen).await.map_err(listening(&config))?;
        Self::serve(store, listener, config, clock).await
    }

    /// The same with a database and a listener of the caller's, whatever the configuration says of them. Who connects before
    /// this returns is served once it does.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_on(store: Store, listener: TcpListener, config: Config, clock: Clock) -> Result<Running, Error> {
        prepare(&config)?;
        Self::serve(store, listener, config, clock).await
    }

    async fn serve(store: Store, listener: TcpListener, config: Config, clock: Clock) -> Result<Running, Error> {
        let address = listener.local_addr().map_err(listening(&config))?;
        let url = config
            .external_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        let tasks = Tasks::new();
        let admin = identity::prepare(&store, &config.admin_token_file(), Timestamp(clock.now_ms())).await?;
        let git = Git::prepare(&config.dir("git-home"))?;
        let mirrors = Mirrors::open(git, &config.dir("mirrors"))?;
        let scheduler = Scheduler::open(store.clone(), clock.clone(), tasks.clone(), times(&config)).await?;
        let files = Files::new(store.clone(), location(&config)?.open(&clock)?, clock.clone());
        files.start_sweeper(
            &tasks,
            Sweeping {
                cache_bytes_per_project: config.retention.cache_bytes_per_project,
                pipelines_after: match config.retention.pipelines_days {
                    0 => None,
                    days => Some(Duration::from_secs(u64::from(days) * 24 * 3600)),
                },
                ..Sweeping::default()
            },
        );
        let limits = config.limits.clone();
        let logs = Logs::start(&tasks, files.clone(), clock.clone(), limits.log_bytes);
        let vault = Vault::new(Keyring::open(&config.dir("master.keys"))?);
        let url = url.trim_end_matches('/').to_owned();
        let triggers = Triggers::new(triggers::Parts {
            store: store.clone(),
            scheduler: scheduler.clone(),
            mirrors: mirrors.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            vault: Arc::new(vault.clone()),
            server: ServerInfo {
                url: url.clone(),
                ..ServerInfo::default()
            },
            reach: if config.include_private_addresses {
                Reach::Anywhere
            } else {
                Reach::Public
            },
            templates: None,
            orbs: config.circleci_orbs.clone(),
            files: files.clone(),
            limits: limits.clone(),
        });
        let app = App(Arc::new(Parts {
            url,
            events: Events::start(&tasks, &store, &scheduler),
            contacts: Contacts::start(&tasks, &store, &clock),
            terminals: Terminals::default(),
            boot: rand::random(),
            scheduler,
            files,
            logs,
            triggers,
            vault,
            metrics: Metrics::new(),
            draining: CancellationToken::new(),
            failed_logins: RateLimiter::new(limits.failed_logins_per_minute, 60),
            job_requests: RateLimiter::new(limits.job_requests_per_s, 1),
            job_updates: RateLimiter::new(limits.job_updates_per_s, 1),
            log_patches: RateLimiter::new(limits.log_patches_per_s, 1),
            config,
            clock,
            tasks,
            store,
            mirrors,
            admin,
        }));
        app.triggers().start().await?;
        environments::start(&app);
        let served = app.clone();
        http::serve(
            &app.0.tasks,
            listener,
            move || http::router(&served),
            limits.connections,
        );
        tracing::info!(%address, url = app.url(), "serving");
        Ok(Running { app, address })
    }
}

fn listening(config: &Config) -> impl FnOnce(std::io::Error) -> Error {
    let address = config.listen;
    move |source| Error::Listen { address, source }
}

/// Checks the configuration, and makes the folder of what it keeps.
fn prepare(config: &Config) -> Result<(), Error> {
    config.check()?;
    std::fs::create_dir_all(&config.data_dir).map_err(|source| Error::DataDir {
        path: config.data_dir.clone(),
        source,
    })
}

fn times(config: &Config) -> Settings {
    Settings {
        lease: Duration::from_secs(config.lease_s),
        stock_lease: Duration::from_secs(config.foreign_lease_s),
        ..Settings::default()
    }
}

fn location(config: &Config) -> Result<Location, Error> {
    let Some(url) = &config.blob_url else {
        return Ok(Location::Folder(config.dir("blobs")));
    };
    let credentials = config.blob_credentials.clone();
    Ok(Location::s3(url, credentials.map(|c| (c.key_id, c.secret_key)))?)
}

async fn open_store(config: &Config) -> Result<Store, Error> {
    let url = match &config.database_url {
        Some(url) => url.parse::<DbUrl>()?,
        None => DbUrl::sqlite(&config.dir("tasuki.db")),
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(&url)).await;
    Ok(opened.map_err(|_| Error::Thread)??)
}

impl Running {
    /// The address that it listens on, with the port that was free where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How others reach it, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        self.app.url()
    }

    /// The administrator's token.
    #[must_use]
    pub fn admin_token(&self) -> &Secret {
        &self.app.admin().token
    }

    /// The parts, for whoever runs in the same process.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Stops: held requests answer at once, requests under way finish within the configured grace, then
    /// everything else ends and the database is closed. Returns whether all of it did in time.
    pub async fn shutdown(self) -> bool {
        let parts = &self.app.0;
        parts.draining.cancel();
        let grace = Duration::from_secs(parts.config.shutdown_grace_s);
        let ended = parts.tasks.close_and_wait(grace).await;
        let store = parts.store.clone();
        // Joins the store's threads: what was acknowledged is on disk before the process goes.
        let closed = tokio::task::spawn_blocking(move || store.close()).await.is_ok();
        ended && closed
    }
}
