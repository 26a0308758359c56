//! The environment of a job's programs.

use std::collections::BTreeMap;

use tasuki_model::reason::FailureReason;

use super::executor::{Config, Place};
use crate::executor::{Error, Output, Result, Stream};
use crate::process::{MARKER, User};

/// The kernel takes no environment entry longer than this (32 pages, less the name and the end).
const MAX_ENTRY: usize = (128 << 10) - 1;

/// Arguments and environment together get a quarter of the stack limit, 2 MiB mostly; this leaves room for programs
/// that add their own.
const MAX_TOTAL: usize = 1 << 20;

/// An environment, and what the kernel would not take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) passed: Vec<(String, String)>,
    /// To be exported by the shell itself.
    pub(crate) exported: Vec<(String, String)>,
}

impl Environment {
    /// Where programs are looked for.
    pub(crate) fn path(&self) -> &str {
        let path = self.passed.iter().find(|(key, _)| key == "PATH");
        path.map_or("", |(_, value)| value.as_str())
    }
}

/// Says on a terminal which variables are not there: nobody can export them before the first prompt.
pub(crate) async fn tell_left_out(environment: &Environment, output: &dyn Output) {
    for (key, value) in &environment.exported {
        let text = format!(
            "the variable {key} is too large for an environment ({} bytes): it is not set here\r\n",
            value.len()
        );
        output.write(Stream::Stdout, text.as_bytes()).await;
    }
}

/// The job's variables over the sandbox's defaults. The last of a name wins.
pub(super) fn build(
    config: &Config,
    place: &Place,
    user: Option<&User>,
    variables: &[(String, String)],
) -> Result<Environment> {
    let paths = place.folders.paths();
    let name = user.map_or_else(own_name, |user| user.name.clone());
    let mut all = BTreeMap::new();
    for (key, value) in [
        ("PATH", config.path.as_str()),
        ("LANG", "C.UTF-8"),
        ("SHELL", "/bin/sh"),
        ("USER", &name),
        ("LOGNAME", &name),
        ("HOME", &paths.home.to_string_lossy()),
        ("TMPDIR", &place.folders.scratch().to_string_lossy()),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    all.extend(config.environment.iter().cloned());
    add(&mut all, variables)?;
    all.insert(MARKER.to_owned(), place.record.marker().to_owned());
    Ok(split(all))
}

/// Adds a job's variables; the last of a name wins.
pub(crate) fn add(all: &mut BTreeMap<String, String>, variables: &[(String, String)]) -> Result<()> {
    for (key, value) in variables {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            let message =
                format!("the variable {key:?} cannot be put into an environment: it is nameless or holds a NUL or '='");
            return Err(Error::job(FailureReason::ScriptFailure, message));
        }
        all.insert(key.clone(), value.clone());
    }
    Ok(())
}

/// Passes as much as the kernel takes, the smallest first.
pub(crate) fn split(all: BTreeMap<String, String>) -> Environment {
    split_within(all, MAX_TOTAL)
}

/// The same with another limit for the whole.
pub(crate) fn split_within(all: BTreeMap<String, String>, most: usize) -> Environment {
    let mut by_size: Vec<(String, String)> = all.into_iter().collect();
    by_size.sort_by_key(|(key, value)| key.len() + value.len());
    let mut total = 0;
    let (mut passed, mut exported) = (Vec::new(), Vec::new());
    for (key, value) in by_size {
        let size = key.len() + value.len() + 2;
        total += size + size_of::<usize>();
        let fits = size <= MAX_ENTRY && total <= most;
        if fits { &mut passed } else { &mut exported }.push((key, value));
    }
    Environment { passed, exported }
}

fn own_name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|id| id.parse::<u32>().ok()) == Some(uid))
        .and_then(|fields| fields.first().map(|&name| name.to_owned()))
        .unwrap_or_else(|| uid.to_string())
}
