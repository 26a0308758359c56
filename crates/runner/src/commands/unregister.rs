//! `runner unregister`

use tasuki_proto::gitlab::TokenKind;

use super::args::UnregisterArgs;
use super::registered::client;
use super::{Context, Error, Result};
use crate::trace::chain;

/// Removes runners from their servers and, where that worked, from the file. A runner that was made on the server
/// stays there: only this process's part of it is removed.
pub(super) async fn unregister(args: UnregisterArgs, context: &mut Context) -> Result<()> {
    let mut file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    if args.select.is_empty() && !args.all_runners {
        return Err(Error::usage(
            "name a runner with --name, or --url and --token, or give --all-runners",
        ));
    }
    let chosen = if args.all_runners {
        (0..config.runners.len()).collect()
    } else {
        args.select.positions(&config)
    };
    if chosen.is_empty() {
        return Err(Error::Config(crate::config::Error::NoSuchRunner {
            path: file.path().to_owned(),
        }));
    }
    let system_id = Context::system_id(file.path());
    let (mut done, mut failed) = (Vec::new(), 0);
    for at in chosen {
        let runner = &config.runners[at];
        let client = client(&config, runner, file.path())?;
        let answer = match TokenKind::of(runner.token.expose()) {
            TokenKind::Authentication => client.unregister_manager(&runner.token, &system_id).await,
            TokenKind::Registration => client.unregister(&runner.token).await,
        };
        let name = format!("{} ({})", runner.name, runner.short_token());
        match answer {
            Ok(()) => {
                context.say(&format!("{name} is unregistered"))?;
                done.push(at);
            }
            Err(problem) => {
                context.say(&format!("{name} is kept: {}", chain(&problem)))?;
                failed += 1;
            }
        }
    }
    if !done.is_empty() {
        file.remove_runners(|at| done.contains(&at));
        file.save()?;
    }
    if failed > 0 {
        Err(Error::Runners(format!("{failed} runner(s) could not be unregistered")))
    } else {
        Ok(())
    }
}
