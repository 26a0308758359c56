//! Backup of a server that works: all rows of one moment, and the bytes that they name.
//!
//! A backup is a folder with `database.jsonl.zst` (see `tasuki_store::archive`), `blobs.jsonl` (key, size and
//! SHA-256 of every blob), `blobs/` with their bytes, and `backup.json`, which is written last. While it is made,
//! nothing that was stored is deleted. The master keys are left out on purpose: keep the key file apart.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tasuki_model::time::Timestamp;
use tasuki_store::archive::{self, Summary};
use tasuki_store::{DbUrl, Tx, blobs, settings};

use super::sweep::HOLD;
use super::{BlobStore, Body, Error, Files, Key};

/// What a backup or its restoration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub rows: u64,
    pub blobs: u64,
    /// Of the blobs.
    pub bytes: u64,
    /// Keys of blobs that a row names and that could not be read: they were lost or damaged before.
    pub missing: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    key: String,
    size: i64,
    sha256: Option<String>,
}

/// For how long deletions wait for a backup that does not say that it still runs.
const HELD: Duration = Duration::from_secs(15 * 60);
/// Blobs between two such signs.
const RENEW: u64 = 100;
const PAGE: u32 = 1000;
/// Bytes read from a file of the backup at a time.
const PIECE: usize = 1024 * 1024;

const DATABASE: &str = "database.jsonl.zst";
const MANIFEST: &str = "blobs.jsonl";
const DONE: &str = "backup.json";

/// Makes a backup in the folder `to`, which must be new or empty. The server goes on working.
///
/// # Errors
/// When the folder is not empty or cannot be written, or the database cannot be read. Blobs that cannot be read
/// are no error: they are in the report.
pub async fn backup(files: &Files, to: &Path) -> Result<Report, Error> {
    let folder = to.to_owned();
    blocking(move || prepare(&folder)).await?;
    hold(files, HELD).await?;
    let made = copy_all(files, to).await;
    hold(files, Duration::ZERO).await?;
    made
}

async fn copy_all(files: &Files, to: &Path) -> Result<Report, Error> {
    let (database, manifest) = (create(&to.join(DATABASE))?, create(&to.join(MANIFEST))?);
    let store = files.store().clone();
    let summary: Summary =
        blocking(move || Ok(store.read_alone_blocking(move |tx| dump(tx, database, manifest))?)).await?;
    let mut report = Report {
        rows: summary.rows,
        blobs: 0,
        bytes: 0,
        missing: Vec::new(),
    };
    let manifest = open(&to.join(MANIFEST))?;
    for named in named(manifest) {
        let named = named?;
        match copy(files.blobs().as_ref(), &named, &to.join("blobs")).await {
            Ok(bytes) => {
                report.blobs += 1;
                report.bytes += bytes;
            }
            Err(error @ Error::Folder { .. }) => return Err(error),
            Err(error) => {
                tracing::error!(key = %named.key, %error, "a blob is missing in the backup");
                report.missing.push(named.key);
            }
        }
        if report.blobs.is_multiple_of(RENEW) {
            hold(files, HELD).await?;
        }
    }
    let (done, text) = (to.join(DONE), serde_json::to_vec_pretty(&report).unwrap_or_default());
    blocking(move || {
        let mut file = create(&done)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(at(&done))?;
        sync_folder(&done)
    })
    .await?;
    Ok(report)
}

/// Rows and the list of blobs, of the same moment.
fn dump(tx: &mut Tx<'_>, database: File, manifest: File) -> tasuki_store::Result<Summary> {
    let failed = |source: io::Error| tasuki_store::Error::Archive {
        problem: "it cannot be written".to_owned(),
        source: Some(std::sync::Arc::new(source)),
    };
    let summary = archive::write(tx, &database)?;
    let mut list = BufWriter::new(&manifest);
    let mut after = String::new();
    loop {
        let page = blobs::named(tx, &after, PAGE)?;
        let Some((last, ..)) = page.last() else { break };
        after.clone_from(last);
        for (key, size, sha256) in page {
            serde_json::to_writer(&mut list, &Named { key, size, sha256 }).map_err(|e| failed(e.into()))?;
            list.write_all(b"\n").map_err(failed)?;
        }
    }
    list.flush().map_err(failed)?;
    drop(list);
    database.sync_all().and_then(|()| manifest.sync_all()).map_err(failed)?;
    Ok(summary)
}

/// Copies one blob; gives its size.
async fn copy(from: &dyn BlobStore, named: &Named, to: &Path) -> Result<u64, Error> {
    let key = Key::new(named.key.as_str())?;
    let content = from.get(&key, None, named.sha256.as_deref()).await?;
    let path = to.join(key.as_str());
    let target = path.clone();
    let mut file = blocking(move || {
        let parent = target.parent().unwrap_or(&target);
        folders(parent)?;
        create(&target)
    })
    .await?;
    let (mut body, mut bytes) = (content.body, 0);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(Error::Body)?;
        bytes += piece.len() as u64;
        let own = path.clone();
        file = blocking(move || file.write_all(&piece).map(|()| file).map_err(at(&own))).await?;
    }
    blocking(move || file.sync_all().map_err(at(&path)).and_then(|()| sync_folder(&path))).await?;
    Ok(bytes)
}

/// Puts a backup into an empty database and a blob store.
///
/// # Errors
/// When there is no finished backup in `from`, the database is not empty, or something is damaged. The database is
/// filled last and all at once: after an error it is still empty, and the same call may be made again.
pub async fn restore(url: &DbUrl, to: &dyn BlobStore, from: &Path) -> Result<Report, Error> {
    let done = from.join(DONE);
    let text = fs::read(&done).map_err(|_| Error::NoBackup { path: from.to_owned() })?;
    let made: Report = serde_json::from_slice(&text).map_err(|_| Error::NoBackup { path: from.to_owned() })?;
    let mut report = Report {
        rows: 0,
        blobs: 0,
        bytes: 0,
        missing: made.missing,
    };
    for named in named(open(&from.join(MANIFEST))?) {
        let named = named?;
        if report.missing.contains(&named.key) {
            continue;
        }
        let key = Key::new(named.key.as_str())?;
        let stored = to
            .put(&key, body(open(&from.join("blobs").join(key.as_str()))?), u64::MAX)
            .await?;
        if named.sha256.as_ref().is_some_and(|sha256| *sha256 != stored.sha256) {
            to.remove(&key).await?;
            let problem = format!("they have the SHA-256 {}", stored.sha256);
            return Err(Error::Damaged {
                key: named.key,
                problem,
            });
        }
        report.blobs += 1;
        report.bytes += stored.size;
    }
    let (url, archive) = (url.clone(), open(&from.join(DATABASE))?);
    report.rows = blocking(move || Ok(archive::import(&url, archive)?)).await?.rows;
    Ok(report)
}

/// Nothing that was stored is deleted for so long.
async fn hold(files: &Files, lasting: Duration) -> Result<(), Error> {
    let until: Timestamp = files.now().after(lasting);
    files
        .store()
        .write(move |tx| settings::set(tx, HOLD, &until.0.to_string()))
        .await?;
    Ok(())
}

fn named(manifest: File) -> impl Iterator<Item = Result<Named, Error>> {
    let path = PathBuf::from(MANIFEST);
    BufReader::new(manifest).lines().map(move |line| {
        let parsed = line.and_then(|line| serde_json::from_str(&line).map_err(io::Error::from));
        parsed.map_err(at(&path))
    })
}

fn body(file: File) -> Body {
    Box::pin(stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            use io::Read as _;
            let mut piece = Vec::with_capacity(PIECE);
            io::Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then(|| (piece.into(), file)))
    }))
}

fn prepare(folder: &Path) -> Result<(), Error> {
    folders(folder)?;
    let mut entries = fs::read_dir(folder).map_err(at(folder))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::NotEmpty {
            path: folder.to_owned(),
        }),
    }
}

fn folders(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at(path))
}

fn create(path: &Path) -> Result<File, Error> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(at(path))
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(at(path))
}

fn sync_folder(file: &Path) -> Result<(), Error> {
    let parent = file.parent().unwrap_or(file);
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(at(parent))
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Folder {
        path: path.clone(),
        source,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Stopping))
}
