//! Unpacks a zip on all cores.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use ::zip::ZipArchive;
use ::zip::result::ZipError;
use rayon::prelude::*;

use super::limits::{Guard, refuse};
use super::unpack::{Later, cannot_make, fill, make_folder, set_time};
use crate::guest::Context;
use crate::guest::confined::Confined;
use crate::guest::error::Result;

const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// A link's target is not longer than a path may be.
const MAX_TARGET: u64 = 4096;

/// Unpacks files and folders; links and folders' permissions are put into `later`. Returns the number of files.
pub(super) fn unpack(
    archive: &File,
    confined: &Confined,
    guard: &mut Guard,
    later: &mut Later,
    context: &Context,
) -> Result<u64> {
    let file = Arc::new(
        archive
            .try_clone()
            .map_err(crate::guest::error::Error::io("read the archive"))?,
    );
    refuse_too_many(&file, guard)?;
    let mut zip = ZipArchive::new(Window::new(Arc::clone(&file))).map_err(damaged)?;
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(damaged)?;
        let Some(path) = guard.path(entry.name_raw())? else {
            continue;
        };
        let mode = entry.unix_mode().unwrap_or(if entry.is_dir() { 0o755 } else { 0o644 });
        let modified = modified(&entry);
        let is_folder = entry.name_raw().ends_with(b"/");
        drop(entry);
        match mode & KIND {
            _ if is_folder => folder(confined, later, path, mode, modified)?,
            FOLDER => folder(confined, later, path, mode, modified)?,
            LINK => {
                let target = target(&mut zip, index)?;
                guard.link(&path, &target)?;
                later.links.push((path, target));
            }
            REGULAR | 0 => files.push((index, path, mode & 0o777, modified)),
            _ => return Err(refuse(format!("{path:?} is a device, a pipe or a socket"))),
        }
    }
    let guard = &*guard;
    files.par_iter().with_max_len(32).try_for_each_init(
        || zip.clone(),
        |zip, (index, path, mode, modified)| {
            let mut entry = zip.by_index(*index).map_err(damaged)?;
            let made = confined
                .create(path, *mode)
                .map_err(|error| cannot_make(path, &error))?;
            fill(&made, &mut entry, path, guard, context)?;
            set_time(&made, *modified);
            Ok(())
        },
    )?;
    Ok(files.len() as u64)
}

fn damaged(error: ZipError) -> crate::guest::error::Error {
    refuse(format!("it is damaged: {error}"))
}

fn folder(confined: &Confined, later: &mut Later, path: PathBuf, mode: u32, modified: i64) -> Result<()> {
    make_folder(confined, &path)?;
    later.folders.push((path, mode & 0o777, modified));
    Ok(())
}

fn target<R: Read + Seek>(zip: &mut ZipArchive<R>, index: usize) -> Result<PathBuf> {
    let mut target = Vec::new();
    let entry = zip.by_index(index).map_err(damaged)?;
    entry
        .take(MAX_TARGET + 1)
        .read_to_end(&mut target)
        .map_err(|error| refuse(format!("it is damaged: {error}")))?;
    if target.is_empty() || target.len() as u64 > MAX_TARGET || target.contains(&0) {
        return Err(refuse("a link in it has no sensible target"));
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(target)))
}

/// Seconds from the extended timestamp; where there is none, DOS's, taken as UTC.
fn modified<R: Read>(entry: &::zip::read::ZipFile<'_, R>) -> i64 {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ::zip::ExtraField::ExtendedTimestamp(time) => time.mod_time(),
        _ => None,
    });
    if let Some(seconds) = exact {
        // The field is signed, whatever its accessor says.
        return i64::from(seconds.cast_signed());
    }
    let time = entry.last_modified().and_then(|time| {
        let part = |value: u8| i8::try_from(value).ok();
        let year = i16::try_from(time.year()).ok()?;
        let (month, day) = (part(time.month())?, part(time.day())?);
        let (hour, minute, second) = (part(time.hour())?, part(time.minute())?, part(time.second())?);
        let civil = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
    });
    time.unwrap_or(0)
}

/// The directory is read into memory as a whole: what its end declares is checked before.
fn refuse_too_many(file: &File, guard: &Guard) -> Result<()> {
    let size = file.metadata().map_or(0, |found| found.len());
    let length = size.min(66_000);
    let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
    if file.read_exact_at(&mut tail, size - length).is_err() {
        return Ok(());
    }
    let number = |at: usize, width: usize| {
        tail.get(at..at + width).map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        })
    };
    let find = |magic: &[u8]| tail.windows(4).rposition(|four| four == magic);
    let plain = find(b"PK\x05\x06").and_then(|at| number(at + 10, 2));
    let large = find(b"PK\x06\x06").and_then(|at| number(at + 32, 8));
    let declared = large.or(plain).unwrap_or(0);
    if declared > guard.limits().max_entries {
        return Err(refuse(format!(
            "it has {declared} entries, more than {}",
            guard.limits().max_entries
        )));
    }
    Ok(())
}

/// A position of its own, with a buffer, in a file that others read, too.
#[derive(Debug)]
struct Window {
    file: Arc<File>,
    at: u64,
    buffer: Vec<u8>,
    buffered_from: u64,
}

const WINDOW: usize = 64 << 10;

impl Window {
    fn new(file: Arc<File>) -> Self {
        Self {
            file,
            at: 0,
            buffer: Vec::new(),
            buffered_from: 0,
        }
    }
}

impl Clone for Window {
    fn clone(&self) -> Self {
        Self {
            at: self.at,
            ..Self::new(Arc::clone(&self.file))
        }
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let skip = self
            .at
            .checked_sub(self.buffered_from)
            .and_then(|skip| usize::try_from(skip).ok());
        let ready = skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default();
        let length = if ready.is_empty() && buffer.len() >= WINDOW {
            self.file.read_at(buffer, self.at)?
        } else if ready.is_empty() {
            self.buffer.resize(WINDOW, 0);
            let filled = self.file.read_at(&mut self.buffer, self.at)?;
            self.buffer.truncate(filled);
            self.buffered_from = self.at;
            let length = filled.min(buffer.len());
            buffer[..length].copy_from_slice(&self.buffer[..length]);
            length
        } else {
            let length = ready.len().min(buffer.len());
            buffer[..length].copy_from_slice(&ready[..length]);
            length
        };
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(offset) => (self.at, offset),
            SeekFrom::End(offset) => (self.file.metadata()?.len(), offset),
        };
        self.at = base.checked_add_signed(offset).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
