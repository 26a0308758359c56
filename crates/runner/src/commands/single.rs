//! `runner run-single`

use std::time::Duration;

use super::args::RunSingleArgs;
use super::run::{options, serve};
use super::section::section;
use super::{Context, Error, Result};
use crate::config::{Config, RunnerConfig, decoded};
use crate::poll::PoolOptions;

/// Works for one runner that is given by flags (or taken from the configuration by its name).
pub(super) async fn run_single(args: RunSingleArgs, context: &mut Context) -> Result<()> {
    let file = context.config_path(args.config.config.as_deref());
    let runner = match &args.runner_name {
        Some(name) => {
            let config = context
                .load(args.config.config.as_deref())?
                .config(&context.environment)?;
            let found = config.runners.into_iter().find(|runner| runner.name == *name);
            found.ok_or_else(|| Error::Config(crate::config::Error::NoSuchRunner { path: file.clone() }))?
        }
        None => decoded::<RunnerConfig>(&section(&args.runner)).map_err(Error::usage)?,
    };
    for (flag, missing) in [
        ("--url", runner.url.is_empty()),
        ("--token", runner.token.expose().is_empty()),
        ("--executor", runner.executor.is_empty()),
    ] {
        if missing {
            return Err(Error::usage(format!("{flag} is missing")));
        }
    }
    let mut config = Config::single(1, runner);
    config.shutdown_timeout = args.shutdown_timeout;
    let work = match &args.working_directory {
        Some(dir) => context.working_dir.join(dir),
        None => context.working_dir.clone(),
    };
    let options = PoolOptions {
        max_jobs: (args.max_builds > 0).then_some(args.max_builds),
        idle_limit: (args.wait_timeout > 0).then(|| Duration::from_secs(args.wait_timeout)),
        ..options(config, &work, &file, context)
    };
    serve(options, args.signals, None).await
}
