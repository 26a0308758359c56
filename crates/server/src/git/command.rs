//! Starting git: environment, limits, clean-up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::Error;

/// Longest time of a call that reads local objects.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time of a call that talks to another repository.
pub(super) const REMOTE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// What a call may print unless it says otherwise.
pub(super) const OUTPUT_LIMIT: usize = 256 << 20;
/// How many `upload-pack` processes serve at once; others wait.
const SERVED_AT_ONCE: usize = 16;

/// What git itself may need from the surroundings. Nothing else of the server's environment reaches it.
const PASSED_ON: &[&str] = &[
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "GIT_EXEC_PATH",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Beats what a repository configures for itself: nothing of it may start a program.
const OVERRIDES: &[&str] = &["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"];

/// Configuration of every call. `safe.directory`: the operator registered the repository by name, so that its owner
/// may be another user.
const CONFIGURATION: &str = "[safe]\n\tdirectory = *\n[protocol]\n\tallow = never\n[protocol \"file\"]\n\tallow = always\n[protocol \"https\"]\n\tallow = always\n\
    [protocol \"http\"]\n\tallow = always\n[protocol \"ssh\"]\n\tallow = always\n[gc]\n\tauto = 0\n\
    [maintenance]\n\tauto = false\n[fetch]\n\tshowForcedUpdates = false\n\twriteCommitGraph = false\n\
    [http]\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = 60\n[transfer]\n\tcredentialsInUrl = die\n\
    [uploadpack]\n\tallowReachableSHA1InWant = true\n\tallowFilter = true\n[advice]\n\tdetachedHead = false\n";

/// The git program with a folder for its configuration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Holds `config` and `known_hosts`, and is HOME of every call.
    home: PathBuf,
    served: Arc<Semaphore>,
    /// Protocol v2's capability advertisement, which does not depend on the repository's refs.
    advertisement: OnceLock<bytes::Bytes>,
}

/// One call: what to say when it fails, the arguments after `git`, the folder it runs in, bounds.
pub(super) struct Call<'a> {
    pub(super) what: &'static str,
    pub(super) args: Vec<OsString>,
    pub(super) dir: &'a Path,
    pub(super) env: Vec<(&'static str, OsString)>,
    pub(super) stdin: Vec<u8>,
    pub(super) limit: usize,
    pub(super) timeout: Duration,
}

impl<'a> Call<'a> {
    pub(super) fn new<I, A>(what: &'static str, dir: &'a Path, args: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: Into<OsString>,
    {
        Self {
            what,
            args: args.into_iter().map(Into::into).collect(),
            dir,
            env: Vec::new(),
            stdin: Vec::new(),
            limit: OUTPUT_LIMIT,
            timeout: READ_TIMEOUT,
        }
    }
}

/// How a call ended and what it printed.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// A running git that takes its whole process group with it when dropped before its end.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // Gone already is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Git {
    /// Keeps git's own configuration in `home`, which is created; nothing is started yet.
    ///
    /// # Errors
    /// The folder or its files cannot be written.
    pub fn prepare(home: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(home).map_err(Error::file("create", home))?;
        let config = home.join("config");
        if std::fs::read(&config).ok().as_deref() != Some(CONFIGURATION.as_bytes()) {
            std::fs::write(&config, CONFIGURATION).map_err(Error::file("write", &config))?;
        }
        let home = std::path::absolute(home).map_err(Error::file("find", home))?;
        Ok(Self {
            inner: Arc::new(Inner {
                home,
                served: Arc::new(Semaphore::new(SERVED_AT_ONCE)),
                advertisement: OnceLock::new(),
            }),
        })
    }

    pub(super) fn home(&self) -> &Path {
        &self.inner.home
    }

    pub(super) fn served(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.served)
    }

    pub(super) fn advertisement(&self) -> &OnceLock<bytes::Bytes> {
        &self.inner.advertisement
    }

    /// `git version` as printed, e.g. `2.39.5`.
    ///
    /// # Errors
    /// Git is not installed or does not start.
    pub async fn version(&self) -> Result<String, Error> {
        let printed = self.text(Call::new("version", &self.inner.home, ["version"])).await?;
        Ok(printed.trim().trim_start_matches("git version ").to_owned())
    }

    /// Starts git with pipes on all three streams.
    pub(super) fn start(&self, call: &Call<'_>) -> Result<Running, Error> {
        #[expect(clippy::disallowed_methods, reason = "this is the server's door to the git program")]
        let mut command = Command::new(program());
        command
            .env_clear()
            .envs(
                PASSED_ON
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .envs([
                ("LC_ALL", "C"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_TERMINAL_PROMPT", "0"),
            ])
            .envs([
                ("GIT_OPTIONAL_LOCKS", "0"),
                ("GIT_PROTOCOL_FROM_USER", "0"),
                ("GIT_ADVICE", "0"),
            ])
            .env("HOME", &self.inner.home)
            .env("GIT_CONFIG_GLOBAL", self.inner.home.join("config"))
            .envs(call.env.iter().map(|(name, value)| (name, value)))
            .args(OVERRIDES)
            .args(&call.args)
            .current_dir(call.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !call.dir.is_dir() => Error::File {
                action: "open",
                path: call.dir.to_owned(),
                source: error,
            },
            _ => Error::Missing(error),
        })?;
        Ok(Running { child })
    }

    /// Runs to the end, whatever the exit code.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Ended, Error> {
        let (what, limit, timeout) = (call.what, call.limit, call.timeout);
        let mut running = self.start(&call)?;
        match tokio::time::timeout(timeout, communicate(&mut running.child, call.stdin, limit)).await {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(Stop::TooLarge)) => Err(Error::TooLarge { what, limit }),
            Ok(Err(Stop::Io(source))) => Err(Error::Pipe { what, source }),
            Err(_) => Err(Error::Timeout {
                what,
                seconds: timeout.as_secs(),
            }),
        }
    }

    /// Runs to the end; any exit code but 0 is an error.
    pub(super) async fn bytes(&self, call: Call<'_>) -> Result<Vec<u8>, Error> {
        let what = call.what;
        let ended = self.run(call).await?;
        if ended.code == Some(0) {
            Ok(ended.stdout)
        } else {
            Err(failed(what, &ended))
        }
    }

    /// [`Git::bytes`] as text.
    pub(super) async fn text(&self, call: Call<'_>) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes(call).await?).into_owned())
    }
}

/// Git with its folder: a program that has yet to be found on the way is started by a copy of this whole process.
fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join("git"))
        .find(|path| {
            path.is_absolute() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
        })
        .unwrap_or_else(|| PathBuf::from("git"))
}

/// The error of a call that ended with something else than 0.
pub(super) fn failed(what: &'static str, ended: &Ended) -> Error {
    let text = ended
        .stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(3)
        .collect::<Vec<_>>()
        .join("; ");
    let message = match (text.is_empty(), ended.code) {
        (false, _) => text,
        (true, Some(code)) => format!("exit code {code}"),
        (true, None) => "it was killed".to_owned(),
    };
    Error::Failed { what, message }
}

/// Why reading a child's output ended early.
enum Stop {
    TooLarge,
    Io(std::io::Error),
}

/// Feeds the child and reads both its outputs at once; stops at the first byte over `limit`.
async fn communicate(child: &mut Child, input: Vec<u8>, limit: usize) -> Result<Ended, Stop> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A child that ends before it has read everything says why by its exit code.
            let _ = stdin.write_all(&input).await;
            let _ = stdin.shutdown().await;
        }
        Ok(())
    };
    let read = async move {
        let mut all = Vec::new();
        if let Some(stdout) = stdout {
            stdout
                .take(limit as u64 + 1)
                .read_to_end(&mut all)
                .await
                .map_err(Stop::Io)?;
        }
        if all.len() > limit {
            Err(Stop::TooLarge)
        } else {
            Ok(all)
        }
    };
    let complain = async move {
        let mut all = Vec::new();
        if let Some(mut stderr) = stderr {
            // Keep the beginning, drain the rest: a full pipe would stop the child.
            let _ = (&mut stderr).take(64 << 10).read_to_end(&mut all).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        Ok(String::from_utf8_lossy(&all).into_owned())
    };
    let ((), stdout, stderr) = tokio::try_join!(feed, read, complain)?;
    let status = child.wait().await.map_err(Stop::Io)?;
    Ok(Ended {
        code: status.code(),
        stdout,
        stderr,
    })
}
