//! Unpacking, whatever the archive is.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps};

use super::limits::{Guard, Limits, refuse};
use super::unzip;
use crate::guest::Context;
use crate::guest::confined::Confined;
use crate::guest::error::{Error, Result};

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unpacked {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Unpacks `archive` into `folder`. The kind is known by its first bytes: zstd holds a tar, gzip files, all else
/// is a zip. Existing files are replaced. Folders get their permissions and times, and links are made, after everything
/// else: nothing of an archive is ever written through a link of the same archive.
pub(crate) fn unpack(mut archive: File, folder: &Path, limits: Limits, context: &Context) -> Result<Unpacked> {
    let failed = || Error::io("read the archive");
    let size = archive.metadata().map_err(failed())?.len();
    let mut magic = [0; 4];
    let length = archive.read(&mut magic).map_err(failed())?;
    archive.seek(SeekFrom::Start(0)).map_err(failed())?;
    let confined = Confined::open(folder).map_err(Error::io(format!("open the folder {}", folder.display())))?;
    let guard = Guard::new(limits, size, ignores_case(&confined));
    let mut target = Target {
        confined,
        guard,
        later: Later::default(),
        files: 0,
        context,
    };
    match magic.get(..length) {
        Some([0x28, 0xb5, 0x2f, 0xfd]) => target.tar(archive)?,
        Some([0x1f, 0x8b, ..]) => target.gzip(archive)?,
        _ => {
            let Target {
                confined, guard, later, ..
            } = &mut target;
            target.files = unzip::unpack(&archive, confined, guard, later, context)?;
        }
    }
    target.finish()
}

/// What is done after all files are there.
#[derive(Debug, Default)]
pub(super) struct Later {
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Path, permissions, time of modification in seconds.
    pub(super) folders: Vec<(PathBuf, u32, i64)>,
}

struct Target<'a> {
    confined: Confined,
    guard: Guard,
    later: Later,
    files: u64,
    context: &'a Context,
}

impl Target<'_> {
    fn tar(&mut self, archive: File) -> Result<()> {
        let damaged = |error: io::Error| refuse(format!("it is damaged: {error}"));
        let stream = zstd::Decoder::new(archive).map_err(damaged)?;
        let mut tar = ::tar::Archive::new(BufReader::with_capacity(256 << 10, stream));
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let name = entry.path_bytes().into_owned();
            let Some(path) = self.guard.path(&name)? else { continue };
            let mode = entry.header().mode().map_err(damaged)? & 0o777;
            let modified = entry
                .header()
                .mtime()
                .ok()
                .and_then(|seconds| i64::try_from(seconds).ok())
                .unwrap_or(0);
            let link = entry.link_name().map_err(damaged)?.map(std::borrow::Cow::into_owned);
            match (entry.header().entry_type(), link) {
                (::tar::EntryType::Directory, _) => {
                    self.folder(&path)?;
                    self.later.folders.push((path, mode, modified));
                }
                (::tar::EntryType::Symlink, Some(target)) => {
                    self.guard.link(&path, &target)?;
                    self.later.links.push((path, target));
                }
                // A second name is made a copy, read inside the folder: no hard link to anything else can come about.
                (::tar::EntryType::Link, Some(original)) => {
                    let inside = crate::guest::confined::inside(&original)
                        .ok_or_else(|| refuse(format!("the hard link {path:?} leads out of the folder")))?;
                    let mut source = self
                        .confined
                        .read(&inside)
                        .map_err(|error| refuse(format!("the hard link {path:?} has no original inside: {error}")))?;
                    self.file(&path, mode, modified, &mut source)?;
                }
                (::tar::EntryType::Regular | ::tar::EntryType::Continuous | ::tar::EntryType::GNUSparse, _) => {
                    self.file(&path, mode, modified, &mut entry)?;
                }
                (kind, _) => return Err(refuse(format!("{path:?} is neither file, folder nor link ({kind:?})"))),
            }
        }
        Ok(())
    }

    /// Members with their names, one file each.
    fn gzip(&mut self, archive: File) -> Result<()> {
        let mut rest = BufReader::with_capacity(256 << 10, archive);
        while !io::BufRead::fill_buf(&mut rest)
            .map_err(Error::io("read the archive"))?
            .is_empty()
        {
            let mut member = flate2::bufread::GzDecoder::new(rest);
            let (name, modified) = match member.header() {
                Some(header) => (
                    header.filename().unwrap_or_default().to_vec(),
                    i64::from(header.mtime()),
                ),
                None => return Err(refuse("it is damaged: no gzip header")),
            };
            match self.guard.path(&name)? {
                Some(path) => self.file(&path, 0o644, modified, &mut member)?,
                None => return Err(refuse("a file in it has no name")),
            }
            rest = member.into_inner();
        }
        Ok(())
    }

    fn folder(&self, path: &Path) -> Result<()> {
        make_folder(&self.confined, path)
    }

    fn file(&mut self, path: &Path, mode: u32, modified: i64, contents: &mut dyn Read) -> Result<()> {
        let file = self
            .confined
            .create(path, mode)
            .map_err(|error| cannot_make(path, &error))?;
        fill(&file, contents, path, &self.guard, self.context)?;
        set_time(&file, modified);
        self.files += 1;
        Ok(())
    }

    fn finish(self) -> Result<Unpacked> {
        for (path, target) in &self.later.links {
            self.confined
                .link(path, target.as_os_str())
                .map_err(|error| cannot_make(path, &error))?;
        }
        for (path, mode, modified) in self.later.folders.iter().rev() {
            let set = self.confined.place(path).and_then(|(parent, name)| {
                rustix::fs::chmodat(parent.as_fd(), name, Mode::from_raw_mode(*mode), AtFlags::empty())?;
                let time = Timespec {
                    tv_sec: *modified,
                    tv_nsec: 0,
                };
                let times = Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                Ok(rustix::fs::utimensat(
                    parent.as_fd(),
                    name,
                    &times,
                    AtFlags::SYMLINK_NOFOLLOW,
                )?)
            });
            set.map_err(|error| cannot_make(path, &error))?;
        }
        Ok(Unpacked {
            files: self.files + self.later.links.len() as u64,
            bytes: self.guard.written(),
        })
    }
}

/// Makes a folder, or makes one that is there writable to us: its own permissions come last.
pub(super) fn make_folder(confined: &Confined, path: &Path) -> Result<()> {
    let made = confined.make_folders(path).and_then(|folder| {
        let mode = rustix::fs::fstat(&folder)?.st_mode;
        if mode & 0o300 != 0o300 {
            let (parent, name) = confined.place(path)?;
            rustix::fs::chmodat(
                &parent,
                name,
                Mode::from_raw_mode(mode & 0o777 | 0o700),
                AtFlags::empty(),
            )?;
        }
        Ok(())
    });
    made.map_err(|error| cannot_make(path, &error))
}

/// A path that leads through a link out of the folder ends here, too.
pub(super) fn cannot_make(path: &Path, error: &io::Error) -> Error {
    let out_of_space = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if out_of_space {
        return Error::System {
            what: format!("unpack {}", path.display()),
            source: error.to_string().into(),
        };
    }
    Error::job(format!("cannot unpack {}: {error}", path.display()))
}

/// Copies contents, counting them.
pub(super) fn fill(
    mut file: &File,
    contents: &mut dyn Read,
    path: &Path,
    guard: &Guard,
    context: &Context,
) -> Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        if context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        let length = match contents.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refuse(format!("{} is damaged: {error}", path.display()))),
        };
        guard.wrote(length as u64)?;
        io::Write::write_all(&mut file, &buffer[..length]).map_err(|error| cannot_make(path, &error))?;
    }
}

pub(super) fn set_time(file: &File, modified: i64) {
    let since = Duration::from_secs(modified.unsigned_abs());
    let time = if modified < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(since)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(since)
    };
    if let Some(time) = time {
        // A file system without times is no reason to fail.
        let _ = file.set_modified(time);
    }
}

/// Whether `A` and `a` are one file here.
fn ignores_case(confined: &Confined) -> bool {
    let (upper, lower) = (Path::new(".TASUKI-case"), Path::new(".tasuki-case"));
    let made = confined.create(upper, 0o600).is_ok();
    let same = made && confined.read(lower).is_ok();
    if made && let Ok((parent, name)) = confined.place(upper) {
        let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
    }
    same
}
