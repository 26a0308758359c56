//! `cargo xtask bench`: builds the release program and lets it measure itself.

use crate::program;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for `tasuki bench`; `all --json` when none are given.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    program::run("cargo", &["build", "--release", "-p", "tasuki"])?;
    let mut arguments = vec!["bench"];
    if args.rest.is_empty() {
        arguments.push("all");
    }
    arguments.extend(args.rest.iter().map(String::as_str));
    program::run("target/release/tasuki", &arguments)
}
