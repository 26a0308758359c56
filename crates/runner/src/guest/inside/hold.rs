//! `guest hold`: the main process of a job's container.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::files;
use super::line;
use super::protocol::{Answer, Holder, Work};

/// Begins the line that says that the container is ready. What an image's entrypoint prints before it is output.
pub(crate) const READY: &[u8] = b"\0tasuki-ready ";

/// How often it is looked whether the container is held.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is looked whether everybody has ended, once they were asked to.
const END: Duration = Duration::from_millis(50);

/// As a shell says that SIGTERM ended somebody. A container that ends well is done, whoever ended it, and a node that evicts its pod
/// then forgets to say so.
const TERMINATED: u8 = 128 + 15;

/// What the container is like, seen from inside and after its entrypoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// Name of the user; the number where `/etc/passwd` has none.
    pub(crate) user: String,
    pub(crate) env: Vec<(String, String)>,
    /// `HOME` is a folder that can be written to.
    pub(crate) home_is_writable: bool,
    /// So is `/tmp`.
    pub(crate) tmp_is_writable: bool,
}

/// Says that it is there, then waits to be killed. Asked to end, it asks the container's programs to, and ends after them.
///
/// The one argument that there may be is work on folders ([`Work::Make`], [`Work::Remove`]; a list of them as JSON) that is
/// done before; what fails there is said on standard error, and the end.
pub(crate) fn hold(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let first = arguments.next().map_or(Ok(()), |work| prepare(&work));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match first
        .and_then(|()| line::listen())
        .and_then(|()| say_ready())
        .and_then(|()| runtime?.block_on(wait()))
    {
        Ok(()) => ExitCode::from(TERMINATED),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(3)
        }
    }
}

fn prepare(work: &str) -> io::Result<()> {
    let all: Vec<Work> = serde_json::from_str(work)?;
    for one in all {
        match one {
            Work::Make(folders) => files::make(&folders),
            Work::Remove(folders) => files::remove(&folders),
            _ => return Err(io::Error::other("only folders are made and removed here")),
        }
        .done()
        .map_err(io::Error::other)?;
    }
    Ok(())
}

async fn wait() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        // As process 1 it is the parent of every orphan of the container.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        tokio::select! {
            _ = ended.recv() => {}
            _ = terminate.recv() => break,
        }
    }
    // Beside others it knows nobody whom it could ask.
    if !rustix::process::getpid().is_init() {
        return Ok(());
    }
    let own = fs::read_link("/proc/self/exe").ok();
    for pid in programs(own.as_deref()) {
        let _ = kill_process(pid, Signal::TERM);
    }
    while !programs(own.as_deref()).is_empty() {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        sleep(END).await;
    }
    Ok(())
}

/// The processes of this container that are not the guest's: sessions and supervisors end with what they have in their care.
fn programs(own: Option<&Path>) -> Vec<Pid> {
    let Ok(all) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| !pid.is_init())
        .filter(
            |pid| match fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())) {
                Ok(exe) => Some(exe.as_path()) != own,
                // A zombie has none. Somebody else's cannot be seen, and may not be ours to ask.
                Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
            },
        )
        .collect()
}

/// Environment of this process: the container's, for one that is started in it from outside.
fn own() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect()
}

pub(super) fn say_ready() -> io::Result<()> {
    let ready = look(own())?;
    let mut out = io::stdout().lock();
    out.write_all(READY)?;
    serde_json::to_writer(&mut out, &ready)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Makes folders, then waits until the container is held. Where anybody may hold it, the container's own environment is
/// told at once.
pub(super) async fn describe(folders: &[(PathBuf, u32)], limit: Duration, holder: Holder) -> Answer {
    for (folder, mode) in folders {
        let made =
            fs::create_dir_all(folder).and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(*mode)));
        if let Err(error) = made {
            return Answer::Failed {
                message: format!("make the folder {}: {error}", folder.display()),
            };
        }
    }
    let started = Instant::now();
    loop {
        let env = held().or_else(|| (holder == Holder::Anybody).then(own));
        let described = env.and_then(|env| look(env).ok());
        if described.is_some() || started.elapsed() >= limit {
            return Answer::Described(described);
        }
        sleep(LOOK).await;
    }
}

/// Environment of whoever holds this container. What the entrypoint exported is in it.
fn held() -> Option<Vec<(String, String)>> {
    let link = |path: String| fs::read_link(path).ok();
    let (exe, place) = (
        link("/proc/self/exe".to_owned())?,
        link("/proc/self/ns/mnt".to_owned())?,
    );
    let holds = |pid: &String| {
        link(format!("/proc/{pid}/exe")).as_ref() == Some(&exe)
            && link(format!("/proc/{pid}/ns/mnt")).as_ref() == Some(&place)
            && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"\0guest\0hold\0"))
    };
    let pid = fs::read_dir("/proc").ok()?.flatten();
    let pid = pid
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(holds)?;
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entries = bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = entries.filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((text(&entry[..at]), text(&entry[at + 1..])))
    });
    Some(pairs.collect())
}

fn look(env: Vec<(String, String)>) -> io::Result<Ready> {
    let uid = rustix::process::getuid().as_raw();
    let home = env
        .iter()
        .find(|(key, _)| key == "HOME")
        .map(|(_, value)| value.as_str());
    Ok(Ready {
        uid,
        gid: rustix::process::getgid().as_raw(),
        groups: rustix::process::getgroups()?
            .into_iter()
            .map(|group| group.as_raw())
            .collect(),
        user: name_of(uid).unwrap_or_else(|| uid.to_string()),
        home_is_writable: home.is_some_and(|home| home != "/" && writable(Path::new(home))),
        tmp_is_writable: writable(Path::new("/tmp")),
        env,
    })
}

fn writable(folder: &Path) -> bool {
    folder.is_dir() && rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn name_of(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|id| id.parse::<u32>().ok()) == Some(uid))
        .and_then(|fields| fields.first().map(|&name| name.to_owned()))
}
