//! What an archive may do to us.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::guest::confined;
use crate::guest::error::{Error, Result};

/// Limits of unpacking. An archive that goes beyond one is refused as the job's fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_entries: u64,
    /// Uncompressed bytes of all files.
    pub(crate) max_bytes: u64,
    /// Uncompressed bytes for each byte of the archive, checked beyond `ratio_from` bytes.
    pub(crate) max_ratio: u64,
    pub(crate) ratio_from: u64,
    /// Whether symbolic links may point out of the folder (a virtual environment's do). They are never followed
    /// while unpacking either way.
    pub(crate) links_may_leave: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 5_000_000,
            max_bytes: 200 << 30,
            // Deflate cannot do better than 1032; real trees reach 20.
            max_ratio: 200,
            ratio_from: 1 << 30,
            links_may_leave: true,
        }
    }
}

/// Watches one unpacking.
#[derive(Debug)]
pub(super) struct Guard {
    limits: Limits,
    archive_bytes: u64,
    written: AtomicU64,
    entries: u64,
    names: HashSet<PathBuf>,
    /// Lower-case names, where the folder takes `A` and `a` for the same.
    folded: Option<HashSet<String>>,
}

impl Guard {
    pub(super) fn new(limits: Limits, archive_bytes: u64, ignores_case: bool) -> Self {
        Self {
            limits,
            archive_bytes,
            written: AtomicU64::new(0),
            entries: 0,
            names: HashSet::new(),
            folded: ignores_case.then(HashSet::new),
        }
    }

    /// Checks an entry's name and gives the path to use; `None` for the folder itself.
    pub(super) fn path(&mut self, name: &[u8]) -> Result<Option<PathBuf>> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(refuse(format!("it has more than {} entries", self.limits.max_entries)));
        }
        let shown = String::from_utf8_lossy(name).into_owned();
        if name.contains(&0) {
            return Err(refuse(format!("the name {shown:?} holds a NUL")));
        }
        let path = confined::inside(Path::new(OsStr::from_bytes(name)))
            .ok_or_else(|| refuse(format!("the name {shown:?} leads out of the folder")))?;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        if let Some(folded) = &mut self.folded
            && !folded.insert(path.to_string_lossy().to_lowercase())
        {
            return Err(refuse(format!(
                "{shown:?} is there twice, if case does not count, as on this disk"
            )));
        }
        if !self.names.insert(path.clone()) {
            return Err(refuse(format!("{shown:?} is there twice")));
        }
        Ok(Some(path))
    }

    /// Checks a symbolic link.
    pub(super) fn link(&self, path: &Path, target: &Path) -> Result<()> {
        if self.limits.links_may_leave || stays_inside(path, target) {
            return Ok(());
        }
        Err(refuse(format!(
            "the link {path:?} leads out of the folder, to {target:?}"
        )))
    }

    /// Counts what was unpacked: what an archive declares may be a lie.
    pub(super) fn wrote(&self, bytes: u64) -> Result<()> {
        let total = self.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if total > self.limits.max_bytes {
            return Err(refuse(format!(
                "it unpacks to more than {} bytes",
                self.limits.max_bytes
            )));
        }
        if total > self.limits.ratio_from && total / self.archive_bytes.max(1) > self.limits.max_ratio {
            return Err(refuse(format!(
                "it unpacks to more than {} times its size",
                self.limits.max_ratio
            )));
        }
        Ok(())
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// An archive that we do not unpack, or not further.
pub(super) fn refuse(why: impl std::fmt::Display) -> Error {
    Error::job(format!("the archive is refused: {why}"))
}

fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_or_come_twice_are_refused() {
        let check = |names: &[&str], ignores_case: bool, good: bool| {
            let mut guard = Guard::new(Limits::default(), 100, ignores_case);
            let all: Result<Vec<_>> = names.iter().map(|name| guard.path(name.as_bytes())).collect();
            assert_eq!(all.is_ok(), good, "{names:?} {all:?}");
        };
        check(&["a", "b/c", "./d", "e//f", "."], false, true);
        check(&["/etc/passwd"], false, false);
        check(&["../a"], false, false);
        check(&["a/../../b"], false, false);
        check(&["a\0b"], false, false);
        check(&["a", "./a"], false, false);
        check(&["a", "A"], false, true);
        check(&["a", "A"], true, false);
        check(&["ä/x", "Ä/X"], true, false);
    }

    #[test]
    fn bombs_are_refused() {
        let guard = Guard::new(
            Limits {
                max_bytes: 1000,
                ..Limits::default()
            },
            1,
            false,
        );
        guard.wrote(1000).expect("is allowed");
        guard.wrote(1).expect_err("is too much");
        let guard = Guard::new(
            Limits {
                ratio_from: 100,
                max_ratio: 10,
                ..Limits::default()
            },
            50,
            false,
        );
        guard.wrote(500).expect("is ten times");
        guard.wrote(50).expect_err("is more than ten times");
        let mut guard = Guard::new(
            Limits {
                max_entries: 1,
                ..Limits::default()
            },
            50,
            false,
        );
        guard.path(b"a").expect("is allowed");
        guard.path(b"b").expect_err("is too many");
    }

    #[test]
    fn links_are_judged_where_asked() {
        let guard = Guard::new(
            Limits {
                links_may_leave: false,
                ..Limits::default()
            },
            1,
            false,
        );
        let check = |link: &str, target: &str, good: bool| {
            assert_eq!(
                guard.link(Path::new(link), Path::new(target)).is_ok(),
                good,
                "{link} -> {target}"
            );
        };
        check("a", "b", true);
        check("a/b", "../c", true);
        check("a/b", "../../c", false);
        check("a", "/etc", false);
        check("a/b", "c/../../../d", false);
    }
}
