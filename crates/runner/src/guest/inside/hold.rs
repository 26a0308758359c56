//! `guest hold`: the main process of a job's container.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::Access;
use rustix::process::WaitOptions;
use serde::{Deserialize, Serialize};

/// Begins the line that says that the container is ready. What an image's entrypoint prints before it is output.
pub(crate) const READY: &[u8] = b"\0tasuki-ready ";

/// How often orphans are reaped.
const REAP: Duration = Duration::from_millis(500);

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

/// Says that it is there, then waits to be killed.
pub(crate) fn hold() -> ExitCode {
    match say_ready() {
        Ok(()) => loop {
            // As process 1 it is the parent of every orphan of the container.
            while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
            std::thread::sleep(REAP);
        },
        Err(_) => ExitCode::from(3),
    }
}

fn say_ready() -> io::Result<()> {
    let uid = rustix::process::getuid().as_raw();
    let env: Vec<(String, String)> = std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let home = env
        .iter()
        .find(|(key, _)| key == "HOME")
        .map(|(_, value)| value.as_str());
    let ready = Ready {
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
    };
    let mut out = io::stdout().lock();
    out.write_all(READY)?;
    serde_json::to_writer(&mut out, &ready)?;
    out.write_all(b"\n")?;
    out.flush()
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
