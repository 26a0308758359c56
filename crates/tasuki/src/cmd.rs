//! The commands. Each is a file; its doc comment is its help.

mod admin;
mod bench;
mod compile;
mod completion;
mod doctor;
mod environment;
mod exec;
mod executor;
mod folder;
mod follow;
mod job;
mod lint;
mod pipeline;
mod project;
mod reference;
mod resource_class;
mod runner;
mod schedule;
mod server;
mod shell;
mod token;
mod trigger;
mod up;
mod variable;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tasuki_runner::config::LogLevel;

use crate::exit::{Exit, Outcome, report};
use crate::print::Style;
use crate::role::{LogFormat, LogSettings, server_runtime, start_log};

/// A self-hosted CI/CD platform in one program.
///
/// Start here:
///   tasuki exec                run the pipeline of the folder you are in, without any server
///   tasuki up                  server and runner in one process
///   tasuki project add .       let the server build this repository on every commit
///   tasuki doctor              find out what is missing
///
/// Exit codes:
///   0    success
///   1    the pipeline, the job or its configuration failed
///   2    wrong usage or settings of tasuki
///   3    system fault: ours, the network's, the machine's
///   130  interrupted
#[derive(Debug, Parser)]
#[command(
    name = "tasuki",
    version,
    max_term_width = 120,
    verbatim_doc_comment,
    propagate_version = false
)]
pub(crate) struct Cli<C: Subcommand = Command> {
    /// Form of the program's own log on standard error; TASUKI_LOG sets what is logged (`info`, `debug`, …) [default: text]
    #[arg(
        long,
        global = true,
        value_enum,
        env = "TASUKI_LOG_FORMAT",
        hide_env = true,
        display_order = 900
    )]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: C,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Up),
    Exec(exec::Exec),
    Lint(lint::Lint),
    Compile(compile::Compile),
    #[command(subcommand)]
    Project(project::Project),
    #[command(subcommand)]
    Pipeline(pipeline::Pipeline),
    #[command(subcommand)]
    Job(job::Job),
    Runner(runner::Runner),
    #[command(subcommand)]
    ResourceClass(resource_class::ResourceClass),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    #[command(subcommand)]
    Environment(environment::Environment),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Variable(variable::Variable),
    Server(server::Server),
    #[command(subcommand)]
    Admin(admin::Admin),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Completion(completion::Completion),
    #[command(hide = true)]
    Reference(reference::Reference),
}

/// What people start many times a day and wait for: read without the grammar of all other commands, which takes a
/// millisecond to build.
#[derive(Debug, Subcommand)]
enum Daily {
    Exec(exec::Exec),
}

impl Cli {
    /// # Errors
    /// Usage, help and version, for people.
    fn read() -> Result<Self, clap::Error> {
        match Cli::<Daily>::try_parse() {
            Ok(Cli {
                log_format,
                command: Daily::Exec(exec),
            }) => Ok(Self {
                log_format,
                command: Command::Exec(exec),
            }),
            Err(_) => Self::try_parse(),
        }
    }
}

/// Reads the command line, runs the command, prints what went wrong.
pub(crate) fn main() -> ExitCode {
    // Begun before the command line is read, which takes half a millisecond.
    let is_exec = std::env::args_os().nth(1).is_some_and(|word| word == "exec");
    let database = is_exec.then(exec::Database::open).and_then(Result::ok);
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no faults; clap prints them to standard output.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            let _ = error.print();
            return exit.into();
        }
    };
    let exit = run(cli, database).unwrap_or_else(|error| report(&error, Style::stderr()));
    exit.into()
}

/// `database`: one for `exec`, where it was begun.
fn run(cli: Cli, database: Option<exec::Database>) -> Outcome {
    let settings = LogSettings {
        format: cli.log_format,
        level: None,
        usual: match &cli.command {
            Command::Up(_) | Command::Server(_) | Command::Runner(_) => LogLevel::Info,
            _ => LogLevel::Warn,
        },
    };
    let settings = match &cli.command {
        Command::Runner(command) => command.log_settings(settings)?,
        _ => settings,
    };
    let log = start_log(settings);
    match cli.command {
        Command::Up(command) => command.run(),
        Command::Server(command) => command.run(),
        Command::Exec(command) => command.run(database),
        Command::Lint(command) => command.run(),
        Command::Compile(command) => command.run(),
        Command::Project(command) => command.run(),
        Command::Pipeline(command) => command.run(),
        Command::Job(command) => command.run(),
        Command::Runner(command) => command.run(log),
        Command::ResourceClass(command) => command.run(),
        Command::Schedule(command) => command.run(),
        Command::Environment(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Variable(command) => command.run(),
        Command::Admin(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Bench(command) => server_runtime()?.block_on(command.run()).map(|()| Exit::Success),
        Command::Completion(command) => command.run(),
        Command::Reference(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli>::command().debug_assert();
    }

    /// Every command says what it does and shows an example.
    #[test]
    fn every_command_has_help_with_an_example() {
        fn check(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                if sub.has_subcommands() {
                    check(sub, &path);
                    continue;
                }
                let help = sub.clone().render_long_help().to_string();
                // The runner's commands stand for gitlab-runner's, too: their examples begin with `runner`.
                let example = path
                    .strip_prefix("tasuki runner")
                    .map_or(path.clone(), |rest| format!("runner{rest}"));
                assert!(help.contains(&example), "{path} has no example in its help");
            }
        }
        check(&<Cli>::command(), "tasuki");
    }
}
