//! The commands of gitlab-runner as functions: the same flags, environment variables and effects on `config.toml`.
//!
//! Each takes its clap arguments and a [`Context`] (environment, output, clock); the binary only wires them.

mod args;
mod context;
mod custom_args;
mod docker_args;
mod error;
mod kubernetes_args;
mod kubernetes_helper_image;
mod kubernetes_rbac;
mod lint;
mod list;
mod listen;
mod pid;
mod register;
mod registered;
mod reset;
mod run;
mod section;
mod service;
mod signals;
mod single;
mod sweep;
mod unregister;
mod verify;

pub use args::{
    ConfigArg, KubernetesHelperImageArgs, KubernetesRbacArgs, LintArgs, ListArgs, RegisterArgs, ResetTokenArgs,
    RunArgs, RunSingleArgs, RunnerArgs, RunnerCommand, Select, ServiceArgs, SweepArgs, UnregisterArgs, VerifyArgs,
};
pub use context::{Context, ProgramLog, config_path};
pub use custom_args::CustomArgs;
pub use docker_args::DockerArgs;
pub use error::{Error, Result};
pub use kubernetes_args::KubernetesArgs;
pub use signals::{SignalMode, follow as follow_signals};

/// Runs one of the commands.
///
/// # Errors
/// See [`Error`]; its [`Error::exit_code`] is what the process exits with.
pub async fn run(command: RunnerCommand, context: &mut Context) -> Result<()> {
    match command {
        RunnerCommand::Register(args) => register::register(*args, context).await,
        RunnerCommand::Run(args) => run::run(args, context).await,
        RunnerCommand::RunSingle(args) => single::run_single(*args, context).await,
        RunnerCommand::Verify(args) => verify::verify(args, context).await,
        RunnerCommand::Lint(args) => lint::lint(&args, context),
        RunnerCommand::List(args) => list::list(&args, context),
        RunnerCommand::Unregister(args) => unregister::unregister(args, context).await,
        RunnerCommand::ResetToken(args) => reset::reset_token(args, context).await,
        RunnerCommand::KubernetesRbac(args) => kubernetes_rbac::kubernetes_rbac(&args, context),
        RunnerCommand::KubernetesHelperImage(args) => {
            kubernetes_helper_image::kubernetes_helper_image(args, context).await
        }
        RunnerCommand::Sweep(args) => sweep::sweep(&args, context).await,
        RunnerCommand::Install(args) => service::install(&args, context),
        RunnerCommand::Uninstall(args) => service::uninstall(&args, context),
        RunnerCommand::Start(args) => service::start(&args, context),
        RunnerCommand::Stop(args) => service::stop(&args, context),
        RunnerCommand::Restart(args) => service::restart(&args, context),
        RunnerCommand::Status(args) => service::status(&args, context),
    }
}
