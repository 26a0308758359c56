//! Writes a zip as a stream, on all cores.
//!
//! A thread reads: small files in groups, large ones in blocks. Rayon's threads compress. This thread writes in order.
//! Between them stand short queues, so memory is bounded by their length, not by the archive. The output is never
//! sought in: sizes that are not known before follow the data (data descriptors), and zip64 is used wherever a number is or
//! could become too large. Permissions, links and seconds-exact times are kept (Unix attributes, extended timestamps).

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::compress;
use super::zip_format::{DEFLATED, Header, Piece, STORED, Writer, ZSTANDARD};
use crate::guest::error::{Error, Result};
use crate::guest::selection::Chosen;
use crate::guest::{Compression, Context};

/// How the contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Deflate(Compression),
    Zstd(Compression),
}

/// Files up to this size are read and compressed as a whole, larger ones in blocks of it.
const BLOCK: usize = 1 << 20;

/// Small files that travel together: at most so many, at most `BLOCK` bytes.
const GROUP: usize = 64;

/// Writes the archive. Returns its size.
pub(crate) fn write(chosen: &Chosen, method: Method, out: &mut dyn Write, context: &Context) -> Result<u64> {
    let mut writer = Writer::new(out);
    let depth = 2 * rayon::current_num_threads().max(1) + 2;
    let (queue, pieces) = sync_channel::<Receiver<io::Result<Vec<Piece>>>>(depth);
    let outcome = std::thread::scope(|scope| -> Result<()> {
        let reader = std::thread::Builder::new()
            .name("archive reader".to_owned())
            .spawn_scoped(scope, move || read(chosen, method, &queue))
            .map_err(Error::io("start a thread"))?;
        let mut written = Ok(());
        for piece in &pieces {
            if context.stop().is_pulled() {
                written = Err(Error::Stopped);
                break;
            }
            written = group(&mut writer, &piece);
            if written.is_err() {
                break;
            }
        }
        // The reader notices that nobody takes its pieces any more.
        drop(pieces);
        let read = reader.join().map_err(|_| Error::job("the archive's reader failed"))?;
        written.and(read)
    });
    outcome?;
    writer.finish().map_err(Error::io("write the archive"))
}

impl Method {
    fn code(self) -> u16 {
        match self {
            Self::Deflate(_) => DEFLATED,
            Self::Zstd(_) => ZSTANDARD,
        }
    }

    fn compress(self, data: &[u8], last: bool) -> io::Result<Vec<u8>> {
        match self {
            Self::Deflate(level) => compress::deflate(data, compress::deflate_level(level), last),
            Self::Zstd(level) => compress::zstd(data, compress::zstd_level(level)),
        }
    }
}

fn group(writer: &mut Writer<'_>, pieces: &Receiver<io::Result<Vec<Piece>>>) -> Result<()> {
    let pieces = pieces.recv().map_err(|_| Error::job("a compressing thread failed"))?;
    for piece in pieces.map_err(|error| Error::job(format!("cannot archive {error}")))? {
        writer.piece(piece).map_err(Error::io("write the archive"))?;
    }
    Ok(())
}

type Queue = SyncSender<Receiver<io::Result<Vec<Piece>>>>;

/// Hands work out in order. A closed queue means that the writer has given up: not this thread's error.
fn read(chosen: &Chosen, method: Method, queue: &Queue) -> Result<()> {
    let project = Arc::new(chosen.project.clone());
    let mut group: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut bytes = 0;
    for (path, found) in &chosen.entries {
        if found.is_file() && found.len() > BLOCK as u64 {
            if !submit(queue, take_group(&project, &mut group, method)) {
                return Ok(());
            }
            bytes = 0;
            if !large(&project, path, found, method, queue)? {
                return Ok(());
            }
            continue;
        }
        bytes += usize::try_from(found.len()).unwrap_or(BLOCK);
        group.push((path.clone(), found.clone()));
        if group.len() >= GROUP || bytes >= BLOCK {
            bytes = 0;
            if !submit(queue, take_group(&project, &mut group, method)) {
                return Ok(());
            }
        }
    }
    submit(queue, take_group(&project, &mut group, method));
    Ok(())
}

fn submit(queue: &Queue, work: impl FnOnce() -> io::Result<Vec<Piece>> + Send + 'static) -> bool {
    let (done, result) = sync_channel(1);
    if queue.send(result).is_err() {
        return false;
    }
    rayon::spawn(move || {
        // The writer may have given up meanwhile.
        let _ = done.send(work());
    });
    true
}

fn take_group(
    project: &Arc<PathBuf>,
    group: &mut Vec<(PathBuf, Metadata)>,
    method: Method,
) -> impl FnOnce() -> io::Result<Vec<Piece>> + Send + 'static {
    let (project, group) = (Arc::clone(project), std::mem::take(group));
    move || {
        group
            .iter()
            .filter_map(|(path, found)| small(&project, path, found, method).transpose())
            .collect()
    }
}

/// A folder, a link or a small file as a whole. `None`: it vanished since it was chosen.
fn small(project: &Path, path: &Path, found: &Metadata, method: Method) -> io::Result<Option<Piece>> {
    let full = project.join(path);
    let contents = if found.is_dir() {
        Ok(Vec::new())
    } else if found.is_symlink() {
        std::fs::read_link(&full).map(|target| target.as_os_str().as_bytes().to_vec())
    } else {
        open(&full).and_then(|file| {
            let mut contents = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0) + 1);
            file.take(u64::MAX).read_to_end(&mut contents).map(|_| contents)
        })
    };
    let contents = match contents {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| named(&full, error))?,
    };
    let mut header = Header::of(path, found, STORED);
    header.crc = crc32fast::hash(&contents);
    header.size = contents.len() as u64;
    if found.is_file() && contents.len() > 32 {
        let compressed = method.compress(&contents, true)?;
        if compressed.len() < contents.len() {
            header.method = method.code();
            return Ok(Some(Piece::Entry(header, compressed)));
        }
    }
    Ok(Some(Piece::Entry(header, contents)))
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // Not through a link that took the file's place meanwhile.
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    File::options().read(true).custom_flags(flags).open(path)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Reads a large file block by block. Returns whether somebody still takes them.
fn large(project: &Path, path: &Path, found: &Metadata, method: Method, queue: &Queue) -> Result<bool> {
    let full = project.join(path);
    let failed = |error| Error::job(format!("cannot read {}: {error}", full.display()));
    let mut file = match open(&full) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other.map_err(failed)?,
    };
    let mut begin = Some(Header::of(path, found, method.code()));
    let mut block = next_block(&mut file).map_err(failed)?;
    loop {
        // One ahead: the last block has to be known as such.
        let next = next_block(&mut file).map_err(failed)?;
        let (last, begin_now) = (next.is_empty(), begin.take());
        let work = move || {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&block);
            let data = method.compress(&block, last)?;
            Ok(vec![Piece::Block {
                begin: begin_now,
                data,
                crc,
                size: block.len() as u64,
                last,
            }])
        };
        if !submit(queue, work) {
            return Ok(false);
        }
        if last {
            return Ok(true);
        }
        block = next;
    }
}

fn next_block(file: &mut File) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    file.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}
