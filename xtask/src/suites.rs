//! `cargo xtask test`: installs what the suites need and runs them, and says loudly what it had to skip.

use std::path::Path;
use std::time::Instant;

use anyhow::bail;

use crate::engine::Engine;
use crate::helm::Helm;
use crate::program::{self, exists};
use crate::stores::{Stores, Which};

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
    beside: Beside,
    /// Command lines; words are kept apart by spaces.
    commands: &'static [&'static str],
}

/// What runs beside a suite.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A container engine and a registry.
    Engine,
    /// Object stores.
    Stores,
    /// An object store that pods reach.
    StoreForPods,
    /// Helm.
    Helm,
}

const DOCKERD: Need = Need {
    program: "dockerd",
    package: "docker.io",
};
const CONTAINERD: Need = Need {
    program: "containerd",
    package: "containerd",
};
const RUNC: Need = Need {
    program: "runc",
    package: "runc",
};
const IPTABLES: Need = Need {
    program: "iptables",
    package: "iptables",
};
const REGISTRY: Need = Need {
    program: "docker-registry",
    package: "docker-registry",
};
const BUSYBOX: Need = Need {
    program: "busybox",
    package: "busybox-static",
};
const HTPASSWD: Need = Need {
    program: "htpasswd",
    package: "apache2-utils",
};
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

const NPM: Need = Need {
    program: "npm",
    package: "npm",
};
const OPENSSL: Need = Need {
    program: "openssl",
    package: "openssl",
};

const SUITES: &[Suite] = &[
    Suite {
        name: "style",
        about: "format, lints, tidy, requirements, generated references",
        needs: &[],
        beside: Beside::Nothing,
        commands: &[
            "cargo fmt --check",
            "cargo clippy --workspace --all-targets -- -D warnings",
            "cargo xtask tidy",
            "cargo xtask requirements",
            "cargo xtask codegen --check",
        ],
    },
    Suite {
        name: "fast",
        about: "tests of every crate, on both databases, with real git, shells and sockets",
        needs: &[POSTGRES, LFS, PYTHON],
        beside: Beside::Nothing,
        commands: &["cargo test --workspace"],
    },
    Suite {
        name: "heavy",
        about: "1,000 simulated hours; kill -9 of real servers and runners in mid-job, 50 cycles",
        needs: &[],
        beside: Beside::Nothing,
        commands: &[
            "cargo test -p tasuki-testkit --test simulation -- --seeds 40",
            "cargo test -p tasuki --test kill -- --ignored",
        ],
    },
    Suite {
        name: "docker",
        about: "jobs in containers of a real engine, a registry with a password, kill -9 of a runner",
        needs: &[
            DOCKERD, CONTAINERD, RUNC, IPTABLES, REGISTRY, BUSYBOX, HTPASSWD, OPENSSL,
        ],
        beside: Beside::Engine,
        commands: &[
            // They count what is on the engine: one after the other. The output has the measured overhead beside `docker run`.
            "cargo test -p tasuki-runner --test docker -- --ignored --show-output --test-threads 1",
            "cargo test -p tasuki --test docker -- --ignored --test-threads 1",
        ],
    },
    Suite {
        name: KUBERNETES,
        about: "jobs in pods of the cluster of $KUBECONFIG; $TASUKI_TEST_KUBERNETES_LOAD puts an image's archive on its nodes; $TASUKI_TEST_KUBERNETES_REGISTRY names one with a password",
        needs: &[PYTHON],
        beside: Beside::StoreForPods,
        commands: &[
            // Each looks at what its own jobs have in the cluster, and most wait most of the time: several at once.
            // What is skipped says so.
            "cargo test -p tasuki-runner --test cluster -- --ignored --show-output --test-threads 4 --skip measured::",
            // Times and memory are taken of one thing at a time.
            "cargo test -p tasuki-runner --test cluster -- --ignored --show-output --test-threads 1 measured::",
            // The measured overhead beside `kubectl run`.
            "cargo test -p tasuki --test kubernetes -- --ignored --show-output --test-threads 1",
        ],
    },
    Suite {
        name: "charts",
        about: "the Helm charts, rendered by Helm: on PATH, or built from its Go module",
        needs: &[],
        beside: Beside::Helm,
        commands: &["cargo test -p tasuki --test charts -- --ignored rendered"],
    },
    Suite {
        name: CHARTS_INSTALLED,
        about: "the charts in the cluster of $KUBECONFIG",
        needs: &[],
        beside: Beside::Helm,
        commands: &["cargo test -p tasuki --test charts -- --ignored installed"],
    },
    Suite {
        name: "stores",
        about: "caches in moto, Azurite and gcp-storage-emulator (PyPI, npm); signatures against Google's own library",
        needs: &[PYTHON, NPM, OPENSSL],
        beside: Beside::Stores,
        commands: &[
            "cargo test -p tasuki-runner --test coordinator peers -- --ignored",
            "cargo test -p tasuki-runner --lib cache_store -- --ignored",
        ],
    },
    Suite {
        name: "browser",
        about: "the web UI in a headless Chromium",
        needs: &[CHROMIUM],
        beside: Beside::Nothing,
        commands: &["cargo test -p tasuki --test browser -- --ignored"],
    },
    Suite {
        name: STOCK_RUNNER,
        about: "a gitlab-runner that is not ours works for our server: $TASUKI_STOCK_RUNNER, or the one on PATH",
        needs: &[],
        beside: Beside::Nothing,
        commands: &["cargo test -p tasuki --test stock -- --ignored"],
    },
];

const STOCK_RUNNER: &str = "stock-runner";
const KUBERNETES: &str = "kubernetes";
const CHARTS_INSTALLED: &str = "charts-installed";

/// Why a suite cannot run here, where what it lacks is no Debian package.
fn impossible(suite: &Suite) -> Option<&'static str> {
    match suite.name {
        STOCK_RUNNER => no_stock_runner(),
        KUBERNETES | CHARTS_INSTALLED => no_cluster(),
        _ => None,
    }
}

fn no_cluster() -> Option<&'static str> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !set("KUBECONFIG") {
        return Some("KUBECONFIG names no cluster");
    }
    if !set("KUBECTL") && !exists("kubectl") {
        return Some("there is no kubectl: put one on PATH, or name its command in KUBECTL");
    }
    let images = set("TASUKI_TEST_KUBERNETES_LOAD") || set("TASUKI_TEST_KUBERNETES_HELPER");
    (!images).then_some(
        "TASUKI_TEST_KUBERNETES_LOAD does not say what puts an image's archive on the nodes (`kind load image-archive`, \
         `ctr -n k8s.io images import`)",
    )
}

fn no_stock_runner() -> Option<&'static str> {
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
        .filter(|suite| args.names.is_empty() || args.names.iter().any(|name| name == suite.name))
        .collect();
    let missing = provide(&chosen, !args.no_install);
    if chosen.iter().any(|suite| suite.name == "fast") && std::env::var_os("TASUKI_CONFORMANCE").is_none() {
        say("SKIPPED in fast: conformance data of public projects (TASUKI_CONFORMANCE names its folder)");
    }
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
        let beside = match start(suite, &lacks, !args.no_install) {
            Ok(beside) => beside,
            Err(why) => {
                say(&format!("SKIPPED {}: {why:#}", suite.name));
                continue;
            }
        };
        let env = beside.env();
        for command in suite.commands {
            say(&format!("{}: {command}", suite.name));
            let start = Instant::now();
            let mut words = command.split(' ');
            let (program, rest) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
            if let Err(error) = program::run_in(&crate::workspace::root(), program, &rest, &env) {
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

/// What runs beside a suite, for as long as this value lives.
enum Running {
    Nothing,
    Engine(Engine),
    Stores(Stores),
    Helm(Helm),
}

impl Running {
    fn env(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Engine(engine) => engine.env(),
            Self::Helm(helm) => helm.env(),
            Self::Stores(stores) => stores.env(),
        }
    }
}

/// Starts what a suite needs beside itself. The error is why it has to be left out.
fn start(suite: &Suite, lacks: &[&Need], install: bool) -> anyhow::Result<Running> {
    if suite.beside != Beside::Nothing && !lacks.is_empty() {
        let missing: Vec<_> = lacks.iter().map(|need| need.program).collect();
        bail!("there is no {}", missing.join(", no "));
    }
    Ok(match suite.beside {
        Beside::Nothing => Running::Nothing,
        Beside::Engine => Running::Engine(Engine::start()?),
        Beside::Stores => Running::Stores(Stores::start(Which::All, install)?),
        Beside::StoreForPods => Running::Stores(Stores::start(Which::S3, install)?),
        Beside::Helm => Running::Helm(Helm::find(install)?),
    })
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
pub(crate) fn say(line: &str) {
    println!("=== {line}");
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn list() {
    for suite in SUITES {
        let needs: Vec<_> = suite.needs.iter().map(|need| need.package).collect();
        println!("{:<12} {}  [{}]", suite.name, suite.about, needs.join(", "));
    }
}
