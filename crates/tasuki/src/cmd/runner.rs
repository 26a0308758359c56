//! `tasuki runner`: the runner's own commands, wired to this process.

use std::io::IsTerminal as _;
use std::path::Path;

use clap::{Args, Subcommand};
use tasuki_proto::rest::NewRunner;
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::commands::{self, Context, RunnerCommand};
use tasuki_runner::config::Environment;

use crate::config::Connection;
use crate::exit::{Exit, Outcome, report};
use crate::print::{self, Style};
use crate::role::block_on;

/// Runners: register, run and look after them; flags and config.toml as gitlab-runner has them.
#[derive(Debug, Args)]
pub(crate) struct Runner {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    #[command(flatten)]
    Own(Box<RunnerCommand>),
}

/// Make a runner on the server and print its token (glrt-…), with which `register` is called. It is shown only once.
///
/// Examples:
///   tasuki runner create builder --tag linux --tag large
///   tasuki runner register --non-interactive --url http://ci.example.com:8700 --token "$(tasuki runner create builder)"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
struct Create {
    /// Its name
    name: String,
    /// A tag; it takes jobs whose tags are all among its own
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Take jobs without tags, too [default: only if it has no tags itself]
    #[arg(long)]
    run_untagged: bool,
    /// Take jobs of protected refs only
    #[arg(long)]
    protected_only: bool,
    /// Make it paused: it gets no jobs until it is resumed
    #[arg(long)]
    paused: bool,
    /// The longest that a job may run on it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(600..))]
    maximum_timeout: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Runner {
    pub(crate) fn run(self) -> Outcome {
        tasuki_proto::tls::install();
        match self.command {
            Command::Create(command) => block_on(command.run()),
            Command::Own(command) => block_on(run_own(*command)),
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let new = NewRunner {
            name: self.name,
            tags: self.tags,
            run_untagged: self.run_untagged.then_some(true),
            protected_only: self.protected_only,
            paused: self.paused,
            maximum_timeout_s: self.maximum_timeout,
            ..NewRunner::default()
        };
        let created = self.connection.client()?.create_runner(&new).await?;
        if self.json {
            print::json(&created)?;
        } else {
            print::line(&created.token)?;
        }
        Ok(Exit::Success)
    }
}

async fn run_own(command: RunnerCommand) -> Outcome {
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
    match commands::run(command, &mut context).await {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            let code = error.exit_code();
            report(&error.into(), Style::stderr());
            Ok(Exit::Other(code))
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
