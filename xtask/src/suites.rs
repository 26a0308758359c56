//! `cargo xtask test`: installs what the suites need and runs them, and says loudly what it had to skip.

use std::path::Path;
use std::time::Instant;

use anyhow::bail;

use crate::program::{self, exists};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Suites to run; all when none is named.
    #[arg(value_name = "SUITE")]
    names: Vec<String>,
    /// Print the suites and what they need.
    #[arg(long)]
    list: bool,
    /// Install nothing, even as root.
    #[arg(long)]
    no_install: bool,
}

/// Something outside that a suite needs: program, Debian package.
struct Need {
    program: &'static str,
    package: &'static str,
}

struct Suite {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    commands: &'static [&'static [&'static str]],
}

const POSTGRES: Need = Need {
    program: "postgres",
    package: "postgresql",
};
const CHROMIUM: Need = Need {
    program: "chromedriver",
    package: "chromium-driver",
};
const LFS: Need = Need {
    program: "git-lfs",
    package: "git-lfs",
};
const PYTHON: Need = Need {
    program: "python3",
    package: "python3-venv",
};

const SUITES: &[Suite] = &[
    Suite {
        name: "style",
        about: "format, lints, tidy, requirements, generated references",
        needs: &[],
        commands: &[
            &["cargo", "fmt", "--check"],
            &[
                "cargo",
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            &["cargo", "xtask", "tidy"],
            &["cargo", "xtask", "requirements"],
            &["cargo", "xtask", "codegen", "--check"],
        ],
    },
    Suite {
        name: "fast",
        about: "tests of every crate, on both databases, with real git, shells and sockets; 1,000 simulated hours",
        needs: &[POSTGRES, LFS, PYTHON],
        commands: &[&["cargo", "test", "--workspace"]],
    },
    Suite {
        name: "heavy",
        about: "kill -9 of real servers and runners in mid-job, 10 cycles",
        needs: &[],
        commands: &[&["cargo", "test", "-p", "tasuki", "--test", "kill", "--", "--ignored"]],
    },
    Suite {
        name: "browser",
        about: "the web UI in a headless Chromium",
        needs: &[CHROMIUM],
        commands: &[&["cargo", "test", "-p", "tasuki", "--test", "browser", "--", "--ignored"]],
    },
    Suite {
        name: STOCK_RUNNER,
        about: "a gitlab-runner that is not ours works for our server: $TASUKI_STOCK_RUNNER, or the one on PATH",
        needs: &[],
        commands: &[&["cargo", "test", "-p", "tasuki", "--test", "stock", "--", "--ignored"]],
    },
];

const STOCK_RUNNER: &str = "stock-runner";

/// Why a suite cannot run here, where what it lacks is no Debian package.
fn impossible(suite: &Suite) -> Option<&'static str> {
    if suite.name != STOCK_RUNNER {
        return None;
    }
    match std::env::var_os("TASUKI_STOCK_RUNNER") {
        Some(path) if Path::new(&path).is_file() => None,
        Some(_) => Some("TASUKI_STOCK_RUNNER names no file"),
        None if exists("gitlab-runner") => None,
        None => Some("there is no gitlab-runner: put one on PATH, or name it in TASUKI_STOCK_RUNNER"),
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        list();
        return Ok(());
    }
    for name in &args.names {
        if !SUITES.iter().any(|suite| suite.name == name) {
            bail!("no suite is called {name}; `cargo xtask test --list` prints them");
        }
    }
    let chosen: Vec<_> = SUITES
        .iter()
        .filter(|s| args.names.is_empty() || args.names.iter().any(|n| n == s.name))
        .collect();
    let missing = provide(&chosen, !args.no_install);
    let mut failed = Vec::new();
    for suite in chosen {
        let lacks: Vec<_> = suite
            .needs
            .iter()
            .filter(|need| missing.contains(&need.program))
            .collect();
        for need in &lacks {
            say(&format!(
                "SKIPPED in {}: what needs {} (Debian package {})",
                suite.name, need.program, need.package
            ));
        }
        if let Some(why) = impossible(suite) {
            say(&format!("SKIPPED {}: {why}", suite.name));
            continue;
        }
        for command in suite.commands {
            say(&format!("{}: {}", suite.name, command.join(" ")));
            let start = Instant::now();
            let (program, rest) = (command[0], &command[1..]);
            if let Err(error) = program::run(program, rest) {
                say(&format!("FAILED {}: {error}", suite.name));
                failed.push(suite.name);
            }
            say(&format!("{}: {:.0} s", suite.name, start.elapsed().as_secs_f64()));
        }
    }
    if !failed.is_empty() {
        failed.dedup();
        bail!("suites that failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Installs the Debian packages that are missing, as root; returns the programs that are still missing.
fn provide(suites: &[&Suite], install: bool) -> Vec<&'static str> {
    let needs: Vec<&Need> = suites.iter().flat_map(|suite| suite.needs).collect();
    let lacking = || {
        needs
            .iter()
            .filter(|need| !present(need.program))
            .map(|need| need.program)
            .collect::<Vec<_>>()
    };
    let packages: Vec<_> = needs
        .iter()
        .filter(|need| !present(need.program))
        .map(|need| need.package)
        .collect();
    if packages.is_empty() {
        return Vec::new();
    }
    if !install || !is_root() || !exists("apt-get") {
        say(&format!(
            "not installed (needs root and apt-get): {}",
            packages.join(" ")
        ));
        return lacking();
    }
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&packages);
    let installed = program::run("apt-get", &["update", "-qq"]).and_then(|()| program::run("apt-get", &arguments));
    if let Err(error) = installed {
        say(&format!("installing failed: {error}"));
    }
    lacking()
}

fn present(program: &str) -> bool {
    // Debian keeps the server's programs out of PATH, one folder a version.
    let postgres = || {
        std::fs::read_dir("/usr/lib/postgresql")
            .is_ok_and(|dirs| dirs.flatten().any(|dir| dir.path().join("bin/postgres").is_file()))
    };
    exists(program) || (program == "postgres" && postgres())
}

fn is_root() -> bool {
    program::output("id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn say(line: &str) {
    println!("=== {line}");
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn list() {
    for suite in SUITES {
        let needs: Vec<_> = suite.needs.iter().map(|need| need.package).collect();
        println!("{:<12} {}  [{}]", suite.name, suite.about, needs.join(", "));
    }
}
