//! The one place that starts programs.

use std::path::Path;
use std::process::{Child, Command, Stdio};

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

/// Starts a program that runs on; what it says goes to `log`.
pub(crate) fn background(program: &str, args: &[&str], log: std::fs::File) -> anyhow::Result<Child> {
    command(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {program}; is it installed?"))
}

/// Asks a program that was started to end, and waits until it has.
pub(crate) fn terminate(child: &mut Child) {
    // One that does not hear is killed.
    let asked = run("kill", &["-TERM", &child.id().to_string()]);
    for _ in 0..200 {
        if asked.is_err() || !matches!(child.try_wait(), Ok(None)) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let _ = child.kill();
    let _ = child.wait();
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

/// Without what cargo tells of this very package: build scripts of others look at those variables, and half of the workspace
/// would be built anew each time that somebody goes from `cargo xtask` to `cargo` and back.
#[expect(
    clippy::disallowed_methods,
    reason = "the door to programs of the workspace's own commands"
)]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
