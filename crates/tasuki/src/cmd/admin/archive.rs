//! The one file of a backup: the database's rows and the files beside it, in a zip archive.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tasuki_store::{DbUrl, Store, archive};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const DATABASE: &str = "database.zst";
/// What lies in the data folder beside the database. Caches of git and what belongs to one life are left out.
const KEPT: &[&str] = &[
    "master.keys",
    "admin.token",
    "runner/registration.json",
    "blobs",
    "mirrors",
];

/// What a backup holds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Contents {
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Writes a backup. The rows are taken first: a file that they name exists already, and blobs never change.
pub(super) fn write(store: &Store, data: &Path, file: &Path) -> anyhow::Result<Contents> {
    let part = file.with_extension("part");
    let mut options = std::fs::OpenOptions::new();
    let out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    let mut zip = ZipWriter::new(io::BufWriter::new(out));
    let mut contents = Contents::default();

    let mut rows = tempfile::tempfile()?;
    contents.rows = archive::export(store, rows.try_clone()?)?.rows;
    rows.seek(SeekFrom::Start(0))?;
    zip.start_file(DATABASE, options_for(0o600))?;
    contents.bytes += io::copy(&mut rows, &mut zip)?;

    let mut files = Vec::new();
    for name in KEPT {
        collect(data, Path::new(name), &mut files)?;
    }
    for name in files {
        // Gone since it was listed: swept, or packed by git.
        let Ok(mut from) = File::open(data.join(&name)) else {
            continue;
        };
        let mode = from.metadata()?.permissions().mode() & 0o777;
        zip.start_file(name.to_string_lossy(), options_for(mode))?;
        contents.bytes += io::copy(&mut from, &mut zip).with_context(|| format!("cannot read {}", name.display()))?;
        contents.files += 1;
    }
    zip.finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    std::fs::rename(&part, file)?;
    Ok(contents)
}

/// Stored, not compressed: what is large is compressed already.
fn options_for(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true)
        .unix_permissions(mode)
}

fn collect(data: &Path, name: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let path = data.join(name);
    let Ok(meta) = std::fs::symlink_metadata(&path) else {
        return Ok(());
    };
    if meta.is_dir() {
        for entry in std::fs::read_dir(&path)? {
            collect(data, &name.join(entry?.file_name()), files)?;
        }
    } else if meta.is_file() && name.extension().is_none_or(|extension| extension != "lock") {
        files.push(name.to_owned());
    }
    Ok(())
}

/// Brings a backup into an empty folder and database.
pub(super) fn read(file: &Path, url: &DbUrl, data: &Path) -> anyhow::Result<Contents> {
    let mut zip = ZipArchive::new(io::BufReader::new(File::open(file)?)).context("it is no backup of tasuki")?;
    if KEPT.iter().any(|name| data.join(name).exists()) {
        bail!("the data folder {} is not empty", data.display());
    }
    let mut contents = Contents::default();
    let mut rows = tempfile::tempfile()?;
    contents.bytes += io::copy(
        &mut zip.by_name(DATABASE).context("it is no backup of tasuki")?,
        &mut rows,
    )?;
    rows.seek(SeekFrom::Start(0))?;
    for at in 0..zip.len() {
        let mut entry = zip.by_index(at)?;
        let shown = entry.name()?.into_owned();
        if shown == DATABASE {
            continue;
        }
        let Some(name) = entry.enclosed_name() else {
            bail!("it names a file outside the data folder: {shown:?}")
        };
        if !KEPT.iter().any(|kept| name.starts_with(kept)) {
            bail!("it holds a file that no backup has: {}", name.display());
        }
        let target = data.join(&name);
        std::fs::create_dir_all(target.parent().unwrap_or(data))?;
        let mode = entry.unix_mode().unwrap_or(0o600) & 0o777;
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&target)?;
        contents.bytes += io::copy(&mut entry, &mut out)?;
        contents.files += 1;
    }
    // A bare repository without this (empty) folder is none.
    for mirror in std::fs::read_dir(data.join("mirrors")).into_iter().flatten().flatten() {
        for folder in ["refs/heads", "refs/tags", "objects/info", "objects/pack"] {
            std::fs::create_dir_all(mirror.path().join(folder))?;
        }
    }
    // Last: a server starts only with a database, so that a broken restore is not taken for a whole one.
    contents.rows = archive::import(url, rows)?.rows;
    Ok(contents)
}
