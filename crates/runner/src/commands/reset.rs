//! `runner reset-token`

use tasuki_model::secret::Secret;

use super::args::ResetTokenArgs;
use super::registered::client;
use super::{Context, Error, Result};
use crate::poll::datetime;

/// Exchanges tokens and stores the new ones.
pub(super) async fn reset_token(args: ResetTokenArgs, context: &mut Context) -> Result<()> {
    let mut file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    let chosen: Vec<usize> = match (args.all_runners, args.id) {
        (true, _) => (0..config.runners.len()).collect(),
        (false, Some(id)) => {
            let same = |(_, runner): &(usize, &crate::config::RunnerConfig)| runner.id == id;
            config
                .runners
                .iter()
                .enumerate()
                .filter(same)
                .map(|(at, _)| at)
                .collect()
        }
        (false, None) if args.select.is_empty() => {
            return Err(Error::usage("name a runner with --name or --id, or give --all-runners"));
        }
        (false, None) => args.select.positions(&config),
    };
    if chosen.is_empty() {
        return Err(Error::Config(crate::config::Error::NoSuchRunner {
            path: file.path().to_owned(),
        }));
    }
    for at in chosen {
        let runner = &config.runners[at];
        let client = client(&config, runner, file.path())?;
        let reset = match &args.pat {
            Some(pat) => client.reset_token_by_id(runner.id, &Secret::new(pat)).await,
            None => client.reset_token(&runner.token).await,
        };
        let reset =
            reset.map_err(|source| Error::call(format!("the token of {} is not exchanged", runner.name), source))?;
        let expires = reset.token_expires_at.as_deref().and_then(|at| at.parse().ok());
        file.set_token(at, reset.token.expose(), datetime(context.clock.now_ms()), expires)?;
        // After each one: the old token is worth nothing any more.
        file.save()?;
        context.say(&format!("{} has a new token", runner.name))?;
    }
    Ok(())
}
