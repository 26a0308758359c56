//! Tar with zstd: what GitLab's runner writes with `tarzstd`.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;

use super::compress;
use crate::guest::error::{Error, Result};
use crate::guest::selection::Chosen;
use crate::guest::{Compression, Context};

/// Writes the archive. Returns its size.
pub(crate) fn write(chosen: &Chosen, level: Compression, out: &mut dyn Write, context: &Context) -> Result<u64> {
    let failed = || Error::io("write the archive");
    let mut counted = Counted { out, written: 0 };
    let mut encoder = zstd::Encoder::new(&mut counted, compress::zstd_level(level)).map_err(failed())?;
    let threads = u32::try_from(rayon::current_num_threads()).unwrap_or(1);
    encoder.multithread(threads).map_err(failed())?;
    let mut tar = ::tar::Builder::new(encoder);
    for (path, found) in &chosen.entries {
        if context.stop().is_pulled() {
            return Err(Error::Stopped);
        }
        let full = chosen.project.join(path);
        let unreadable = |error: io::Error| Error::job(format!("cannot archive {}: {error}", full.display()));
        let mut header = ::tar::Header::new_gnu();
        header.set_mode(found.mode() & 0o7777);
        header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
        header.set_size(0);
        let added = if found.is_symlink() {
            header.set_entry_type(::tar::EntryType::Symlink);
            std::fs::read_link(&full).and_then(|target| tar.append_link(&mut header, path, target))
        } else if found.is_dir() {
            header.set_entry_type(::tar::EntryType::Directory);
            tar.append_data(&mut header, path, io::empty())
        } else {
            std::fs::File::open(&full).and_then(|file| {
                let size = file.metadata()?.len();
                header.set_size(size);
                tar.append_data(&mut header, path, Exactly { file, left: size })
            })
        };
        match added {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(unreadable)?,
        }
    }
    let encoder = tar.into_inner().map_err(failed())?;
    encoder.finish().map_err(failed())?;
    counted.out.flush().map_err(failed())?;
    Ok(counted.written)
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    written: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// As many bytes as the header says: a file that grows is cut, one that shrinks is an error, not a broken archive.
struct Exactly {
    file: std::fs::File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.file.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::Error::other("it shrank while it was archived"));
        }
        self.left -= length as u64;
        Ok(length)
    }
}
