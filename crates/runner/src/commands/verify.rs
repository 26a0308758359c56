//! `runner verify`

use tasuki_proto::gitlab::VerifyRequest;

use super::args::VerifyArgs;
use super::registered::client;
use super::{Context, Error, Result};
use crate::job::runner_info;
use crate::trace::chain;

/// Asks the servers. Only a 403 means that a runner is gone; anything else keeps it.
pub(super) async fn verify(args: VerifyArgs, context: &mut Context) -> Result<()> {
    let mut file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    let system_id = Context::system_id(file.path());
    let chosen = args.select.positions(&config);
    if chosen.is_empty() {
        return Err(Error::Config(crate::config::Error::NoSuchRunner {
            path: file.path().to_owned(),
        }));
    }
    let mut gone = Vec::new();
    for at in chosen {
        let runner = &config.runners[at];
        // With the executor's features: the server takes its picture of this process from this call.
        let request = VerifyRequest {
            info: runner_info(&runner.executor, runner.labels.clone()),
            token: runner.token.clone(),
            system_id: system_id.clone(),
        };
        let name = format!("{} ({})", runner.name, runner.short_token());
        match client(&config, runner, file.path())?.verify(&request).await {
            Ok(_) => context.say(&format!("{name} is valid"))?,
            Err(problem) if problem.is_forbidden() => {
                context.say(&format!("{name} is removed: its server does not know it"))?;
                gone.push(at);
            }
            Err(problem) => context.say(&format!("{name} is kept: {}", chain(&problem)))?,
        }
    }
    if args.delete {
        if !gone.is_empty() {
            file.remove_runners(|at| gone.contains(&at));
            file.save()?;
        }
        return Ok(());
    }
    match gone.len() {
        0 => Ok(()),
        count => Err(Error::Runners(format!(
            "{count} runner(s) are gone; `verify --delete` removes them"
        ))),
    }
}
