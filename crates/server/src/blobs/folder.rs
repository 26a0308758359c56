//! Bytes in a local folder.
//!
//! A file holds the bytes, then the CRC-32 of each of their blocks, then a footer with the SHA-256 over all of
//! them: any range can be checked while it is read, without a second file that could get lost.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tasuki_model::time::Timestamp;
use url::Url;

use super::key::hex;
use super::store::{BlobStore, Body, Content, Stored, clamp};
use super::verify::verified;
use super::{Error, Key};

/// Bytes that one checksum covers.
const BLOCK: usize = 256 * 1024;
/// Bytes that go to the disk, or come from it, at a time.
const PIECE: usize = 4 * BLOCK;
const MAGIC: &[u8; 8] = b"tskblob1";
const FOOTER: usize = 8 + 8 + 4 + 32;
/// A temporary file that is older than this belongs to an upload that never ended.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A [`BlobStore`] in a folder that nobody else writes to (another server process with the same database may).
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Uses `root`, which is made (mode 0700) where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        make_dirs(&root.join("tmp")).map_err(at(&root))?;
        Ok(Self { root })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join("blobs").join(key.as_str())
    }

    async fn receive(&self, mut body: Body, limit: u64) -> Result<Writing, Error> {
        let temporary = Temporary::new(&self.root)?;
        let mut writing = blocking(move || Writing::create(temporary)).await?;
        let mut waiting: Vec<u8> = Vec::with_capacity(PIECE);
        let mut received = 0_u64;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(Error::Body)?;
            received += piece.len() as u64;
            if received > limit {
                return Err(Error::TooLarge { limit });
            }
            waiting.extend_from_slice(&piece);
            if waiting.len() >= PIECE {
                let full = std::mem::replace(&mut waiting, Vec::with_capacity(PIECE));
                writing = blocking(move || writing.write(&full)).await?;
            }
        }
        blocking(move || writing.write(&waiting)).await
    }
}

#[async_trait::async_trait]
impl BlobStore for Folder {
    async fn put(&self, key: &Key, body: Body, limit: u64) -> Result<Stored, Error> {
        let writing = self.receive(body, limit).await?;
        let path = self.path(key);
        blocking(move || writing.finish(&path)).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, sha256: Option<&str>) -> Result<Content, Error> {
        let (path, own) = (self.path(key), key.clone());
        let file = blocking(move || Reading::open(&path, &own)).await?;
        let whole = range.is_none();
        let range = clamp(key, range, file.size)?;
        if let Some(wanted) = sha256.filter(|wanted| *wanted != file.sha256) {
            let problem = format!("they have the SHA-256 {} in place of {wanted}", file.sha256);
            return Err(Error::Damaged {
                key: key.to_string(),
                problem,
            });
        }
        let (size, digest) = (file.size, file.sha256.clone());
        let body = read(Arc::new(file), range.clone());
        let body = if whole {
            verified(body, key, size, &digest)
        } else {
            body
        };
        Ok(Content { size, range, body })
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, Error> {
        let (path, own) = (self.path(key), key.clone());
        match blocking(move || Reading::open(&path, &own)).await {
            Ok(file) => Ok(Some(file.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, key: &Key) -> Result<(), Error> {
        let path = self.path(key);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        })
        .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        let folder = self.root.join("tmp");
        blocking(move || {
            for entry in fs::read_dir(&folder).map_err(at(&folder))?.flatten() {
                let changed = entry.metadata().and_then(|m| m.modified()).ok();
                let changed = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
                let changed = changed.map(|t| Timestamp(0).after(t));
                if changed.is_some_and(|changed| now.since(changed) > STALE) {
                    // Somebody else may have been faster.
                    let _ = fs::remove_file(entry.path());
                }
            }
            Ok(())
        })
        .await
    }

    fn presigned_get(&self, _: &Key, _: Timestamp, _: Duration) -> Option<Url> {
        None
    }

    fn presigned_put(&self, _: &Key, _: Timestamp, _: Duration) -> Option<Url> {
        None
    }
}

/// Runs what waits for the disk where that disturbs nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Stopping))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Folder { path, source }
}

fn make_dirs(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file's name that is gone from the disk when this is dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn new(root: &Path) -> Result<Self, Error> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random)?;
        Ok(Self(root.join("tmp").join(hex(&random))))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file that is being written.
#[derive(Debug)]
struct Writing {
    file: File,
    temporary: Temporary,
    size: u64,
    digest: Sha256,
    table: Vec<u8>,
    block: crc32fast::Hasher,
    in_block: usize,
}

impl Writing {
    fn create(temporary: Temporary) -> Result<Self, Error> {
        let mut options = File::options();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0)
            .map_err(at(&temporary.0))?;
        Ok(Self {
            file,
            temporary,
            size: 0,
            digest: Sha256::new(),
            table: Vec::new(),
            block: crc32fast::Hasher::new(),
            in_block: 0,
        })
    }

    fn write(mut self, bytes: &[u8]) -> Result<Self, Error> {
        self.file.write_all(bytes).map_err(at(&self.temporary.0))?;
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.in_block));
            self.block.update(now);
            self.in_block += now.len();
            if self.in_block == BLOCK {
                self.end_block();
            }
            rest = later;
        }
        Ok(self)
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        self.table.extend(block.finalize().to_le_bytes());
        self.in_block = 0;
    }

    /// Makes it durable under its own name.
    fn finish(mut self, path: &Path) -> Result<Stored, Error> {
        if self.in_block > 0 {
            self.end_block();
        }
        let digest = self.digest.finalize();
        let mut end = std::mem::take(&mut self.table);
        let table_crc = crc32fast::hash(&end);
        end.extend(MAGIC);
        end.extend(self.size.to_le_bytes());
        end.extend(table_crc.to_le_bytes());
        end.extend(digest);
        let temporary = &self.temporary.0;
        self.file
            .write_all(&end)
            .and_then(|()| self.file.sync_all())
            .map_err(at(temporary))?;
        let parent = path.parent().unwrap_or(path);
        make_dirs(parent).map_err(at(parent))?;
        fs::rename(temporary, path).map_err(at(path))?;
        // The names are durable only when their folders are: those that may be new, up to `blobs`.
        for folder in path.ancestors().skip(1) {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(at(folder))?;
            if folder.file_name().is_some_and(|name| name == "blobs") {
                break;
            }
        }
        Ok(Stored {
            size: self.size,
            sha256: hex(&digest),
        })
    }
}

/// A file that is being read.
#[derive(Debug)]
struct Reading {
    file: File,
    key: Key,
    size: u64,
    sha256: String,
    /// CRC-32 of each block.
    table: Vec<u32>,
}

impl Reading {
    fn open(path: &Path, key: &Key) -> Result<Self, Error> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NotFound { key: key.to_string() });
            }
            opened => opened.map_err(at(path))?,
        };
        let damaged = |problem: &str| Error::Damaged {
            key: key.to_string(),
            problem: problem.to_owned(),
        };
        let length = file.metadata().map_err(at(path))?.len();
        if length < FOOTER as u64 {
            return Err(damaged("the file is cut short"));
        }
        let mut footer = [0_u8; FOOTER];
        file.seek(SeekFrom::End(-(FOOTER as i64)))
            .and_then(|_| file.read_exact(&mut footer))
            .map_err(at(path))?;
        let (magic, rest) = footer.split_at(8);
        let (size, rest) = rest.split_at(8);
        let (table_crc, digest) = rest.split_at(4);
        let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
        let table_len = size.div_ceil(BLOCK as u64).saturating_mul(4);
        if magic != MAGIC || size.saturating_add(table_len).saturating_add(FOOTER as u64) != length {
            return Err(damaged("the file's end is not what was written"));
        }
        let mut table = vec![0; usize::try_from(table_len).unwrap_or(0)];
        file.read_exact_at(&mut table, size).map_err(at(path))?;
        if crc32fast::hash(&table).to_le_bytes() != table_crc {
            return Err(damaged("the table of checksums is not what was written"));
        }
        let table = table.as_chunks().0.iter().map(|crc| u32::from_le_bytes(*crc)).collect();
        Ok(Self {
            file,
            key: key.clone(),
            size,
            sha256: hex(digest),
            table,
        })
    }

    /// The bytes of `range`, which lies within [`PIECE`] of whole blocks; every block that it touches is
    /// checked.
    fn read(&self, range: &Range<u64>) -> Result<Bytes, Error> {
        let block = BLOCK as u64;
        let first = range.start / block;
        let start = first * block;
        let end = (range.end.div_ceil(block) * block).min(self.size);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let problem = |problem: String| Error::Damaged {
            key: self.key.to_string(),
            problem,
        };
        self.file
            .read_exact_at(&mut bytes, start)
            .map_err(|error| problem(error.to_string()))?;
        let crcs = self.table.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        for ((index, bytes), crc) in bytes.chunks(BLOCK).enumerate().zip(crcs) {
            if crc32fast::hash(bytes) != *crc {
                return Err(problem(format!(
                    "block {} is not what was written",
                    first + index as u64
                )));
            }
        }
        let from = usize::try_from(range.start - start).unwrap_or(0);
        let to = usize::try_from(range.end - start).unwrap_or(0);
        Ok(Bytes::from(bytes).slice(from..to))
    }
}

fn read(file: Arc<Reading>, range: Range<u64>) -> Body {
    Box::pin(stream::try_unfold(range, move |rest| {
        let file = Arc::clone(&file);
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let end = ((rest.start / PIECE as u64 + 1) * PIECE as u64).min(rest.end);
            let now = rest.start..end;
            let bytes = blocking(move || file.read(&now)).await.map_err(|error| {
                tracing::error!(%error, "stored bytes cannot be read");
                error.into_io()
            })?;
            Ok(Some((bytes, end..rest.end)))
        }
    }))
}
