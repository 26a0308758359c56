//! The one place that starts programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Runs a program in the root folder with this process's output; an exit code other than 0 is an error.
pub(crate) fn run(program: &str, args: &[&str]) -> anyhow::Result<()> {
    run_in(&crate::workspace::root(), program, args, &[])
}

/// The same in a folder and with more environment.
pub(crate) fn run_in(folder: &Path, program: &str, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let status = command(program)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot start {program}; is it installed?"))?;
    if !status.success() {
        bail!("`{program} {}` ended with {status}", args.join(" "));
    }
    Ok(())
}

/// What a program prints; an exit code other than 0 is an error.
pub(crate) fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = command(program)
        .args(args)
        .current_dir(crate::workspace::root())
        .output()
        .with_context(|| format!("cannot start {program}; is it installed?"))?;
    if !output.status.success() {
        bail!(
            "`{program} {}` failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name can be started.
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the door to programs of the workspace's own commands"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}
