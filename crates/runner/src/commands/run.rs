//! `runner run`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::args::RunArgs;
use super::context::folder;
use super::listen::{Shown, listen};
use super::pid::PidFile;
use super::signals::{SignalMode, follow};
use super::{Context, Error, Result};
use crate::config::Config;
use crate::executor::docker::Surroundings;
use crate::job::{AwsSurroundings, Pauses, Shutdown};
use crate::metrics::Metrics;
use crate::poll::{Defaults, Pool, PoolOptions, Reload, executors};

/// Works for all runners of the configuration, which is followed while it runs.
pub(super) async fn run(args: RunArgs, context: &mut Context) -> Result<()> {
    let file = context.load(args.config.config.as_deref())?;
    let mut config = file.config(&context.environment)?;
    context.log.configure(config.log_level, config.log_format);
    for key in file.unknown() {
        let hint = key
            .hint
            .map(|hint| format!(", did you mean {hint}?"))
            .unwrap_or_default();
        warn!(file = %file.path().display(), place = %key.place, "nothing reads the key {}{hint}", key.path);
    }
    if config.runners.len() > config.concurrent as usize {
        warn!(
            concurrent = config.concurrent,
            runners = config.runners.len(),
            "fewer jobs at a time than runners: a request that its server holds keeps the others waiting; raise `concurrent`"
        );
    }
    if args.syslog {
        warn!("--syslog has no effect: the log goes to standard error");
    }
    let listen_address = args.listen_address.clone().or_else(|| config.listen_address.clone());
    if args.user.is_some() {
        config.user.clone_from(&args.user);
    }
    let work = match &args.working_directory {
        Some(dir) => context.working_dir.join(dir),
        None => context.working_dir.clone(),
    };
    let _pid = PidFile::write(file.path());
    let reload = Reload {
        path: file.path().to_owned(),
        environment: context.environment.clone(),
        now: Arc::new(Notify::new()),
        applied: {
            let log = Arc::clone(&context.log);
            Arc::new(move |config: &Config| log.configure(config.log_level, config.log_format))
        },
    };
    let options = options(config, &work, file.path(), context);
    serve(
        PoolOptions {
            reload: Some(reload),
            ..options
        },
        args.signals,
        listen_address.as_deref(),
    )
    .await
}

/// What a pool of this process is started with.
pub(super) fn options(config: Config, work: &Path, file: &Path, context: &Context) -> PoolOptions {
    let defaults = defaults(&config, work, file, context);
    PoolOptions {
        config,
        reload: None,
        system_id: defaults.system_id.clone(),
        certs_dir: Some(folder(file).join("certs")),
        spool_dir: std::env::temp_dir(),
        executors: executors(defaults, context.tasks.clone()),
        trusts_snapshots: false,
        clock: context.clock.clone(),
        tasks: context.tasks.clone(),
        aws: Arc::new(AwsSurroundings::read(|name| {
            context.environment.get(name).map(str::to_owned)
        })),
        pauses: Pauses::default(),
        metrics: Arc::new(Metrics::default()),
        max_jobs: None,
        idle_limit: None,
    }
}

/// What executors of this process take from it.
pub(super) fn defaults(config: &Config, work: &Path, file: &Path, context: &Context) -> Defaults {
    Defaults {
        working_dir: work.to_owned(),
        user: config.user.clone(),
        path: None,
        binary: context.binary.clone(),
        system_id: Context::system_id(file),
        surroundings: Surroundings::read(|name| context.environment.get(name).map(str::to_owned)),
        environment: context.environment.0.clone().into_iter().collect(),
    }
}

/// Runs a pool until a signal or its own end.
pub(super) async fn serve(options: PoolOptions, mode: SignalMode, listen_address: Option<&str>) -> Result<()> {
    let shutdown = Shutdown::new();
    let tasks = options.tasks.clone();
    let now = options
        .reload
        .as_ref()
        .map_or_else(|| Arc::new(Notify::new()), |reload| Arc::clone(&reload.now));
    let shown = Shown {
        metrics: Arc::clone(&options.metrics),
        system_id: options.system_id.clone(),
        shutdown: shutdown.clone(),
    };
    if let Some(address) = listen_address.filter(|address| !address.is_empty()) {
        listen(address, shown, &tasks).await?;
    }
    let pool = Pool::start(options, shutdown.clone()).await?;
    info!("asking for jobs");
    let ended = tokio::select! {
        ended = Box::pin(pool.run()) => ended,
        followed = follow(mode, &shutdown, &now) => {
            followed.map_err(|source| Error::system("listen to signals", source))?;
            false
        }
    };
    tasks.close_and_wait(Duration::from_secs(5)).await;
    if ended { Ok(()) } else { Err(Error::Unfinished) }
}
