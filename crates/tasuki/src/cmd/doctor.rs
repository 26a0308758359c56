//! `tasuki doctor`.

mod clusters;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tasuki_rt::Clock;
use tasuki_server::git::Git;

use crate::config::{Connection, Served};
use crate::exit::{Exit, Outcome};
use crate::print::{self, Style};
use crate::role::block_on;

/// Check what tasuki needs on this machine, and say what to do about what is missing.
///
/// Exit code 0 when everything that is needed is there, 3 when something is not; warnings do not count.
///
/// Examples:
///   tasuki doctor
///   tasuki doctor --config runner.toml
///   tasuki doctor --json | jq '.[] | select(.verdict != "ok")'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Doctor {
    /// Address that a server would listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,
    /// config.toml of a runner: the clusters of its kubernetes runners are asked what their accounts may do
    /// [default: where `tasuki runner` looks for it, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// Works without, but not as well.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            message: message.into(),
            remedy: None,
        }
    }

    fn bad(check: &'static str, verdict: Verdict, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

impl Doctor {
    pub(crate) fn run(self) -> Outcome {
        block_on(self.examine())
    }

    async fn examine(self) -> Outcome {
        let data = self.connection.data().path();
        let mut all = vec![git().await];
        match &data {
            Ok(folder) => all.extend([writable(folder), disk(folder)]),
            Err(error) => all.push(Finding::bad(
                "data folder",
                Verdict::Failed,
                error.to_string(),
                "name one with --data",
            )),
        }
        all.extend([watches(), cgroups(), namespaces(), shell(), clock()]);
        let served = data.ok().and_then(|folder| Served::read(&folder));
        all.push(port(self.listen, served.as_ref()));
        all.extend(self.server().await);
        all.extend(clusters::examine(self.config.as_deref()).await);
        if self.json {
            print::json(&all)?;
        } else {
            print::raw(&text(&all, Style::stdout()))?;
        }
        let failed = all.iter().any(|finding| finding.verdict == Verdict::Failed);
        Ok(if failed { Exit::System } else { Exit::Success })
    }

    /// Whether the server answers, whether its token works, whether a runner is there.
    async fn server(&self) -> Vec<Finding> {
        let Ok(client) = self.connection.client() else {
            return vec![Finding::ok(
                "server",
                "none runs with this data folder; `tasuki up` starts one",
            )];
        };
        let version = tokio::time::timeout(Duration::from_secs(5), client.version()).await;
        let version = match version {
            Ok(Ok(version)) => version.version,
            Ok(Err(error)) => {
                let remedy = "start it with `tasuki up`, or set TASUKI_URL to where it listens";
                return vec![Finding::bad("server", Verdict::Failed, error.to_string(), remedy)];
            }
            Err(_) => {
                let remedy = "look at its log; is a proxy in between?";
                return vec![Finding::bad(
                    "server",
                    Verdict::Failed,
                    "it does not answer within 5 s",
                    remedy,
                )];
            }
        };
        let mut all = vec![Finding::ok(
            "server",
            format!("version {version} answers at {}", client.base()),
        )];
        all.push(match client.runners().await {
            Ok(runners) if runners.iter().any(|runner| runner.online && !runner.paused) => {
                let online = runners.iter().filter(|runner| runner.online).count();
                Finding::ok("runner", format!("{online} online"))
            }
            Ok(_) => Finding::bad(
                "runner",
                Verdict::Warning,
                "no runner is online: jobs wait",
                "start `tasuki up` with slots, or `tasuki runner run` where `tasuki runner register` was run",
            ),
            Err(error) => {
                let remedy = "set TASUKI_TOKEN, or run this as the user who owns the data folder";
                Finding::bad("token", Verdict::Failed, error.to_string(), remedy)
            }
        });
        all
    }
}

async fn git() -> Finding {
    let remedy = "install git 2.30 or newer (apt-get install git)";
    let found = async {
        let home = tempfile::tempdir().ok()?;
        Git::prepare(home.path()).ok()?.version().await.ok()
    };
    let Some(version) = found.await else {
        return Finding::bad("git", Verdict::Failed, "git does not start", remedy);
    };
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    match (numbers.next(), numbers.next()) {
        (Some(2), Some(minor)) if minor < 30 => {
            Finding::bad("git", Verdict::Failed, format!("{version} is too old"), remedy)
        }
        (Some(major), _) if major < 2 => Finding::bad("git", Verdict::Failed, format!("{version} is too old"), remedy),
        _ => Finding::ok("git", version),
    }
}

fn writable(folder: &Path) -> Finding {
    let existing: PathBuf = folder
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned();
    match tempfile::NamedTempFile::new_in(&existing) {
        Ok(_) if existing == folder => Finding::ok("data folder", folder.display().to_string()),
        Ok(_) => Finding::ok("data folder", format!("{} will be created", folder.display())),
        Err(error) => Finding::bad(
            "data folder",
            Verdict::Failed,
            format!("{} cannot be written: {error}", existing.display()),
            "give it to this user, or name another folder with --data",
        ),
    }
}

fn disk(folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let Ok(space) = rustix::fs::statvfs(existing) else {
        return Finding::bad("disk", Verdict::Warning, "free space cannot be read", "look with `df`");
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let message = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
    match free >> 20 {
        0..256 => Finding::bad(
            "disk",
            Verdict::Failed,
            message,
            "free some space: logs and artifacts could not be stored",
        ),
        256..2048 => Finding::bad(
            "disk",
            Verdict::Warning,
            message,
            "free some space, or shorten the retention",
        ),
        _ => Finding::ok("disk", message),
    }
}

/// Local projects are watched through inotify.
fn watches() -> Finding {
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    match (number("max_user_watches"), number("max_user_instances")) {
        (Some(watches), Some(instances)) if watches < 8192 || instances < 16 => Finding::bad(
            "inotify",
            Verdict::Warning,
            format!("{watches} watches, {instances} instances"),
            "sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=128",
        ),
        (Some(watches), Some(instances)) => Finding::ok("inotify", format!("{watches} watches, {instances} instances")),
        _ => Finding::bad(
            "inotify",
            Verdict::Warning,
            "the kernel does not offer it",
            "local projects are looked at every 2 s instead",
        ),
    }
}

fn cgroups() -> Finding {
    let remedy =
        "run under systemd with Delegate=yes; without it processes of a job are found by supervision and marks";
    match tasuki_runner::process::Cgroup::create("doctor") {
        Some(cgroup) => match cgroup.destroy() {
            Ok(_) => Finding::ok("cgroups", format!("a job gets one below {}", cgroup.dir().display())),
            Err(error) => Finding::bad("cgroups", Verdict::Warning, error.to_string(), remedy),
        },
        None => Finding::bad("cgroups", Verdict::Warning, "this user may not create any", remedy),
    }
}

fn namespaces() -> Finding {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let forbidden = read("/proc/sys/kernel/unprivileged_userns_clone").is_some_and(|value| value == "0")
        || read("/proc/sys/user/max_user_namespaces").is_some_and(|value| value == "0");
    if forbidden && !rustix::process::geteuid().is_root() {
        let remedy = "sysctl user.max_user_namespaces=15000 (and kernel.unprivileged_userns_clone=1 where it exists)";
        return Finding::bad(
            "namespaces",
            Verdict::Warning,
            "user namespaces are switched off",
            remedy,
        );
    }
    Finding::ok("namespaces", "user namespaces are available")
}

fn shell() -> Finding {
    let found = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"]
        .iter()
        .find(|path| Path::new(path).exists());
    match found {
        Some(path) => Finding::ok("shell", *path),
        None if Path::new("/bin/sh").exists() => Finding::ok("shell", "/bin/sh (no bash)"),
        None => Finding::bad("shell", Verdict::Failed, "there is no shell", "install bash"),
    }
}

fn clock() -> Finding {
    // 2024-01-01: no release of tasuki is older.
    if Clock::system().now_ms() < 1_704_067_200_000 {
        return Finding::bad(
            "clock",
            Verdict::Failed,
            "it stands before 2024",
            "set it; certificates and leases need it",
        );
    }
    let cpu = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    Finding::ok(
        "clock",
        format!(
            "set{}",
            cpu.map(|name| format!(", source {}", name.trim())).unwrap_or_default()
        ),
    )
}

fn port(listen: SocketAddr, served: Option<&Served>) -> Finding {
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(_) if served.is_some_and(|served| served.url.ends_with(&listen.to_string())) => {
            Finding::ok("port", format!("{listen} is taken by the server of this data folder"))
        }
        Err(error) => Finding::bad(
            "port",
            Verdict::Warning,
            format!("{listen} cannot be listened on: {error}"),
            "start the server with another address: `tasuki up --listen 127.0.0.1:0`",
        ),
    }
}

fn text(all: &[Finding], style: Style) -> String {
    let mut out = String::new();
    for finding in all {
        let verdict = match finding.verdict {
            Verdict::Ok => style.green("ok     "),
            Verdict::Warning => style.paint("33", "warning"),
            Verdict::Failed => style.red("failed "),
        };
        out.push_str(&format!("{verdict}  {:<12} {}\n", finding.check, finding.message));
        if let Some(remedy) = &finding.remedy {
            out.push_str(&format!("         {:<12} {}\n", "", style.dim(&format!("→ {remedy}"))));
        }
    }
    out
}
