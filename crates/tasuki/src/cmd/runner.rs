//! `tasuki runner`: the runner's own commands, wired to this process.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use tasuki_proto::rest::NewRunner;
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::commands::{self, Context, ProgramLog, RunnerCommand};
use tasuki_runner::config::{self, Environment, LogLevel};

use crate::config::Connection;
use crate::exit::{Exit, Mark as _, Outcome, report};
use crate::print::{self, Style};
use crate::role::{LogSettings, block_on, settle_when_idle};

/// Runners: register, run and look after them; flags and config.toml as gitlab-runner has them.
#[derive(Debug, Args)]
pub(crate) struct Runner {
    /// Least level of the program's own log: debug, info, warn, error [default: config.toml's log_level, else info]
    #[arg(
        short = 'l',
        long,
        global = true,
        env = "LOG_LEVEL",
        hide_env = true,
        value_name = "LEVEL",
        display_order = 901
    )]
    log_level: Option<LogLevel>,
    /// The same as --log-level debug
    #[arg(
        long,
        global = true,
        env = "RUNNER_DEBUG",
        hide_env = true,
        value_parser = clap::builder::BoolishValueParser::new(),
        display_order = 902
    )]
    debug: bool,
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
    /// The log as gitlab-runner's flags and variables ask for it (`LOG_FORMAT` besides the flags above).
    pub(crate) fn log_settings(&self, settings: LogSettings) -> anyhow::Result<LogSettings> {
        let of_environment = match (settings.format, environment().get("LOG_FORMAT")) {
            (None, Some(word)) => Some(word.parse::<config::LogFormat>().usage()?.into()),
            (known, _) => known,
        };
        Ok(LogSettings {
            format: of_environment,
            level: if self.debug {
                Some(LogLevel::Debug)
            } else {
                self.log_level
            },
            ..settings
        })
    }

    pub(crate) fn run(self, log: Arc<dyn ProgramLog>) -> Outcome {
        tasuki_proto::tls::install();
        match self.command {
            Command::Create(command) => block_on(command.run()),
            Command::Own(command) => block_on(run_own(*command, log)),
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

async fn run_own(command: RunnerCommand, log: Arc<dyn ProgramLog>) -> Outcome {
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
        log,
    };
    if matches!(command, RunnerCommand::Run(_)) {
        settle_when_idle(&context.tasks);
    }
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
