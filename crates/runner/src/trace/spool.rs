//! The whole log in a temporary file, so that any part of it can be sent again.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

use super::Error;

/// A file without a name: it is gone when the process is, whatever happens.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    size: u64,
    crc: crc32fast::Hasher,
}

impl Spool {
    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(dir).map_err(|source| Error::Create {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            file,
            size: 0,
            crc: crc32fast::Hasher::new(),
        })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::Write)?;
        self.size += bytes.len() as u64;
        self.crc.update(bytes);
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn crc(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// At most `most` bytes from `offset` on; empty at the end.
    pub(super) fn read(&self, offset: u64, most: usize) -> Result<Bytes, Error> {
        let there = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; there.min(most)];
        self.file.read_exact_at(&mut buffer, offset).map_err(Error::Read)?;
        Ok(Bytes::from(buffer))
    }
}
