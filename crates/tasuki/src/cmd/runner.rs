//! `tasuki runner`: the runner's own commands, wired to this process.

use std::io::IsTerminal as _;
use std::path::Path;

use clap::Args;
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::commands::{self, Context, RunnerCommand};
use tasuki_runner::config::Environment;

use crate::exit::{Exit, Outcome, report};
use crate::print::Style;
use crate::role::{block_on, settle_later};

/// Runners: register, run and look after them; flags and config.toml as gitlab-runner has them.
#[derive(Debug, Args)]
pub(crate) struct Runner {
    #[command(subcommand)]
    command: RunnerCommand,
}

impl Runner {
    pub(crate) fn run(self) -> Outcome {
        tasuki_proto::tls::install();
        block_on(self.work())
    }

    async fn work(self) -> Outcome {
        let interactive = std::io::stdin().is_terminal();
        let mut context = Context {
            environment: environment(),
            clock: Clock::system(),
            tasks: Tasks::new(),
            out: Box::new(std::io::stdout()),
            input: interactive.then(|| Box::new(std::io::BufReader::new(std::io::stdin())) as _),
            working_dir: std::env::current_dir()?,
            unit_dir: Path::new("/etc/systemd/system").to_owned(),
            binary: None,
        };
        if matches!(self.command, RunnerCommand::Run(_)) {
            settle_later(&context.tasks);
        }
        match commands::run(self.command, &mut context).await {
            Ok(()) => Ok(Exit::Success),
            Err(error) => {
                let code = error.exit_code();
                report(&error.into(), Style::stderr());
                Ok(Exit::Other(code))
            }
        }
    }
}

/// The environment, read once. Names and values that are not UTF-8 can stand for nothing in a configuration.
fn environment() -> Environment {
    let pairs = std::env::vars_os();
    Environment(
        pairs
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    )
}
