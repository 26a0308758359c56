//! `runner sweep`

use super::args::SweepArgs;
use super::run::defaults;
use super::{Context, Error, Result};
use crate::poll::executors;
use crate::trace::chain;

/// Sweeps for every runner of the configuration; with `--check` proves that nothing of a job is left.
pub(super) async fn sweep(args: &SweepArgs, context: &mut Context) -> Result<()> {
    let file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    let work = match &args.working_directory {
        Some(dir) => context.working_dir.join(dir),
        None => context.working_dir.clone(),
    };
    let make = executors(defaults(&config, &work, file.path(), context), context.tasks.clone());
    let (mut failed, mut left) = (Vec::new(), Vec::new());
    for runner in &config.runners {
        let swept = async {
            let executor = make(runner)?;
            let swept = executor.sweep().await?;
            let found = if args.check {
                executor.audit().await?
            } else {
                Vec::new()
            };
            Ok::<_, crate::executor::Error>((swept, found))
        };
        match swept.await {
            Ok((swept, found)) => {
                context.say(&format!(
                    "{}: removed {} sandboxes, ended {} processes or containers",
                    runner.name, swept.sandboxes, swept.processes
                ))?;
                left.extend(found);
            }
            Err(error) => failed.push(format!("{}: {}", runner.name, chain(&error))),
        }
    }
    // Runners that share an engine see the same.
    left.sort();
    left.dedup();
    for one in &left {
        context.say(&format!("left: {one}"))?;
    }
    if !failed.is_empty() {
        return Err(Error::Runners(failed.join("; ")));
    }
    if !left.is_empty() {
        return Err(Error::Runners(format!(
            "{} things belong to jobs: of living runners, or of other machines'",
            left.len()
        )));
    }
    if args.check {
        context.say("nothing of a job is left")?;
    }
    Ok(())
}
