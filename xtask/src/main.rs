//! The workspace's own commands: `cargo xtask tidy|test|fuzz|bench|requirements|codegen`.

mod bench;
mod codegen;
mod engine;
mod fuzz;
mod helm;
mod program;
mod requirements;
mod stores;
mod suites;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};

/// Commands that keep the workspace in order.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks what the compiler does not: file sizes, crate arrows, places of docs, words that may not appear.
    Tidy,
    /// Runs the test suites: all, or those named.
    Test(suites::Args),
    /// Runs the fuzz targets, ten minutes each unless told otherwise; needs a nightly toolchain.
    Fuzz(fuzz::Args),
    /// Runs the benchmarks on a release build and prints them as a table and as JSON.
    Bench(bench::Args),
    /// Lists which requirements the tests cover and which are open.
    Requirements(requirements::Args),
    /// Writes the generated references in docs/reference (or checks them with --check).
    Codegen(codegen::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Tidy => tidy::run(),
        Command::Test(args) => suites::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Requirements(args) => requirements::run(&args),
        Command::Codegen(args) => codegen::run(&args),
    }
}
