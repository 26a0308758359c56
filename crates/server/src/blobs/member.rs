//! Single files of stored zip archives, without reading the archives as a whole.

use std::io::{self, Read, Seek, SeekFrom};

use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Error, Files};

/// Bytes that are fetched at once: most directories of archives, and most files, in one go.
const WINDOW: u64 = 128 << 10;

/// Why no file was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemberError {
    #[error("the archive cannot be read")]
    Archive(#[source] ZipError),
    #[error("the file cannot be unpacked")]
    Unpack(#[source] io::Error),
    #[error("the file is larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error("the server is stopping")]
    Stopping,
}

/// The first of these files that the archive has, with its content. `size` is that of the archive.
///
/// # Errors
/// When the archive is damaged or gone, or the file has more than `most` bytes.
pub(crate) async fn first(
    files: &Files,
    blob_key: &str,
    size: u64,
    names: Vec<String>,
    most: u64,
) -> Result<Option<(String, Vec<u8>)>, MemberError> {
    let reader = Ranges {
        files: files.clone(),
        blob_key: blob_key.to_owned(),
        size,
        at: 0,
        window: Vec::new(),
        window_at: 0,
        runtime: Handle::current(),
    };
    tokio::task::spawn_blocking(move || unpack(reader, names, most))
        .await
        .unwrap_or(Err(MemberError::Stopping))
}

fn unpack(reader: Ranges, names: Vec<String>, most: u64) -> Result<Option<(String, Vec<u8>)>, MemberError> {
    let mut archive = ZipArchive::new(reader).map_err(MemberError::Archive)?;
    for name in names {
        let file = match archive.by_name(&name) {
            Ok(file) if file.is_file() => file,
            Ok(_) | Err(ZipError::FileNotFound) => continue,
            Err(broken) => return Err(MemberError::Archive(broken)),
        };
        let mut content = Vec::new();
        // What the archive says of the size is not trusted.
        file.take(most + 1)
            .read_to_end(&mut content)
            .map_err(MemberError::Unpack)?;
        if content.len() as u64 > most {
            return Err(MemberError::TooLarge { most });
        }
        return Ok(Some((name, content)));
    }
    Ok(None)
}

/// A stored file, read by parts of it.
struct Ranges {
    files: Files,
    blob_key: String,
    size: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    runtime: Handle,
}

impl Ranges {
    async fn fetch(&self, from: u64) -> Result<Vec<u8>, Error> {
        let to = from.saturating_add(WINDOW).min(self.size);
        let mut content = self.files.read(&self.blob_key, Some(from..to), None).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = content.body.next().await {
            bytes.extend_from_slice(&piece.map_err(Error::Body)?);
        }
        Ok(bytes)
    }
}

impl Read for Ranges {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || into.is_empty() {
            return Ok(0);
        }
        let inside = self
            .at
            .checked_sub(self.window_at)
            .and_then(|at| usize::try_from(at).ok());
        let inside = match inside.filter(|at| *at < self.window.len()) {
            Some(at) => at,
            None => {
                self.window = self.runtime.block_on(self.fetch(self.at)).map_err(io::Error::other)?;
                self.window_at = self.at;
                0
            }
        };
        let found = &self.window[inside..];
        let count = found.len().min(into.len());
        into[..count].copy_from_slice(&found[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Ranges {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
