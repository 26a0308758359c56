//! Caches: archives beside the builds, `<cache_dir>/<project slug>/<key>/cache.zip`, and in an object store where the
//! request names one. A cache never fails a job: what goes wrong is a warning, and the next key is tried.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::StatusCode;
use reqwest::header::{IF_MODIFIED_SINCE, LAST_MODIFIED};

use crate::guest::archive::{self, Limits, Method};
use crate::guest::error::{Error, Result};
use crate::guest::http::{Failed, Http};
use crate::guest::selection::{self, Chosen};
use crate::guest::{CacheEntry, Context, Format, Report, RestoreCache, SaveCache, Tls};

/// `CACHE_REQUEST_TIMEOUT`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Attempts of a download.
const ATTEMPTS: u32 = 3;

/// Restores the first cache that is there and whole. None is no failure.
pub(super) fn restore(request: &RestoreCache, context: &Context) -> Result<Report> {
    fs::create_dir_all(&request.project).map_err(Error::io("make the project folder"))?;
    for entry in &request.entries {
        context.say(&format!("Checking cache for {}...", entry.key));
        match restore_one(entry, request, context) {
            Ok(Some(report)) => {
                context.say("Successfully extracted cache");
                return Ok(report);
            }
            Ok(None) => context.say(&format!("WARNING: no cache for the key {}", entry.key)),
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) => context.say(&format!("WARNING: the cache {} was not restored: {error}", entry.key)),
        }
    }
    Ok(Report {
        skipped: true,
        ..Report::default()
    })
}

fn restore_one(entry: &CacheEntry, request: &RestoreCache, context: &Context) -> Result<Option<Report>> {
    let mut transferred = 0;
    if entry.url.is_some() {
        match download(entry, timeout(request.timeout_s), context) {
            Ok(bytes) => transferred = bytes,
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) => context.say(&format!("WARNING: the cache was not downloaded: {error}")),
        }
    }
    let archive = match File::open(&entry.file) {
        Ok(archive) => archive,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format!("open {}", entry.file.display()))(error)),
    };
    let unpacked = archive::unpack(archive, &request.project, Limits::default(), context)?;
    Ok(Some(Report {
        files: unpacked.files,
        bytes: unpacked.bytes,
        transferred,
        cache_key: Some(entry.key.clone()),
        digest: None,
        skipped: false,
    }))
}

fn timeout(seconds: u64) -> Duration {
    if seconds == 0 {
        DEFAULT_TIMEOUT
    } else {
        Duration::from_secs(seconds)
    }
}

/// Brings a newer archive from the object store. Returns its size, 0 when there is none newer.
fn download(entry: &CacheEntry, limit: Duration, context: &Context) -> Result<u64> {
    let Some(url) = &entry.url else { return Ok(0) };
    let http = Http::new(&Tls::default(), "")?;
    let have = fs::metadata(&entry.file).and_then(|found| found.modified()).ok();
    let mut attempt = 1;
    loop {
        let mut draft = Draft::beside(&entry.file)?;
        let done = http.run(context, limit, async {
            let mut asking = http.client.get(url.expose());
            for (name, value) in &entry.headers {
                asking = asking.header(name, value.expose());
            }
            if let Some(have) = have {
                asking = asking.header(IF_MODIFIED_SINCE, http_date(have));
            }
            let response = asking.send().await.map_err(Failed::network)?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_MODIFIED | StatusCode::NOT_FOUND => return Ok(None),
                _ => return Err(Failed::status(response).await),
            }
            let modified = response
                .headers()
                .get(LAST_MODIFIED)
                .and_then(|value| value.to_str().ok())
                .and_then(from_http_date);
            if have.zip(modified).is_some_and(|(have, modified)| modified <= have) {
                return Ok(None);
            }
            let mut bytes = 0;
            let mut body = response.bytes_stream();
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(Failed::network)?;
                draft
                    .file
                    .write_all(&piece)
                    .map_err(|error| Failed::Local(Error::io("write the cache")(error)))?;
                bytes += piece.len() as u64;
            }
            Ok(Some((bytes, modified)))
        });
        match done {
            Ok(None) => return Ok(0),
            Ok(Some((bytes, modified))) => {
                if let Some(modified) = modified {
                    draft
                        .file
                        .set_modified(modified)
                        .map_err(Error::io("keep the cache's time"))?;
                }
                draft.keep(&entry.file)?;
                return Ok(bytes);
            }
            Err(Failed::Stopped) => return Err(Error::Stopped),
            Err(failed @ Failed::Network(_)) if attempt < ATTEMPTS => {
                context.say(&format!(
                    "WARNING: {}; attempt {} of {ATTEMPTS}",
                    failed.text(),
                    attempt + 1
                ));
                attempt += 1;
                Http::pause(context, Duration::from_secs(1))?;
            }
            Err(failed) => return Err(Error::External { message: failed.text() }),
        }
    }
}

/// Makes a new archive, unless nothing changed.
pub(super) fn save(request: &SaveCache, context: &Context) -> Result<Report> {
    context.say(&format!("Creating cache {}...", request.entry.key));
    let done = try_save(request, context);
    match done {
        Err(Error::Stopped) => Err(Error::Stopped),
        Err(error) => {
            // Said, and not more: a cache never fails a job.
            context.say(&format!("WARNING: the cache was not saved: {error}"));
            Ok(Report {
                skipped: true,
                ..Report::default()
            })
        }
        done => done,
    }
}

fn try_save(request: &SaveCache, context: &Context) -> Result<Report> {
    let chosen = selection::choose(&request.selection, &request.project, "cache", context)?;
    let nothing = Report {
        skipped: true,
        ..Report::default()
    };
    if chosen.entries.is_empty() {
        context.say("WARNING: no files to cache");
        return Ok(nothing);
    }
    let file = &request.entry.file;
    if is_up_to_date(&chosen, file) {
        context.say("Archive is up to date!");
        return Ok(nothing);
    }
    let mut draft = Draft::beside(file)?;
    let mut out = Limited {
        out: io::BufWriter::with_capacity(256 << 10, &mut draft.file),
        left: request.max_bytes,
    };
    if request.max_bytes == 0 {
        out.left = u64::MAX;
    }
    let written = match request.format {
        Format::TarZstd => archive::write_tar(&chosen, request.compression, &mut out, context),
        Format::ZipZstd => archive::write_zip(&chosen, Method::Zstd(request.compression), &mut out, context),
        Format::Zip | Format::Gzip | Format::Raw => {
            archive::write_zip(&chosen, Method::Deflate(request.compression), &mut out, context)
        }
    };
    if out.left == 0 {
        return Err(Error::job(format!(
            "it is larger than {} bytes, which the runner's configuration allows",
            request.max_bytes
        )));
    }
    let transferred = written?;
    drop(out);
    if request.entry.url.is_some() {
        upload(request, &mut draft.file, transferred, context)?;
    }
    draft.keep(file)?;
    context.say("Created cache");
    Ok(Report {
        files: chosen.files(),
        bytes: chosen.bytes(),
        transferred,
        cache_key: Some(request.entry.key.clone()),
        digest: None,
        skipped: false,
    })
}

/// No chosen file is newer than the archive.
fn is_up_to_date(chosen: &Chosen, archive: &Path) -> bool {
    let Ok(made) = fs::metadata(archive).and_then(|found| found.modified()) else {
        return false;
    };
    chosen
        .entries
        .values()
        .all(|found| found.modified().is_ok_and(|modified| modified <= made))
}

fn upload(request: &SaveCache, file: &mut File, size: u64, context: &Context) -> Result<()> {
    let Some(url) = &request.entry.url else { return Ok(()) };
    let http = Http::new(&Tls::default(), "")?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read the cache"))?;
    let file = file.try_clone().map_err(Error::io("read the cache"))?;
    let sent = http.run(context, timeout(request.timeout_s), async {
        let pieces = tokio_util::io::ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 << 10);
        let mut sending = http
            .client
            .put(url.expose())
            .header(reqwest::header::CONTENT_LENGTH, size)
            .body(reqwest::Body::wrap_stream(pieces.into_stream()));
        for (name, value) in &request.entry.headers {
            sending = sending.header(name, value.expose());
        }
        let response = sending.send().await.map_err(Failed::network)?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(Failed::status(response).await)
        }
    });
    match sent {
        Ok(()) => Ok(()),
        Err(Failed::Stopped) => Err(Error::Stopped),
        Err(failed) => Err(Error::External {
            message: format!("the upload failed: {}", failed.text()),
        }),
    }
}

/// A file that takes another's place only when it is whole.
struct Draft {
    file: File,
    name: tempfile::TempPath,
}

impl Draft {
    fn beside(file: &Path) -> Result<Self> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
        let made = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)
            .map_err(Error::io(format!("write into the folder {}", folder.display())))?;
        let (file, name) = made.into_parts();
        Ok(Self { file, name })
    }

    fn keep(self, file: &Path) -> Result<()> {
        self.name
            .persist(file)
            .map_err(|error| Error::io(format!("write {}", file.display()))(error.error))
    }
}

/// Ends with an error when more is written than is `left`.
struct Limited<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 >= self.left {
            self.left = 0;
            return Err(io::Error::other("the archive is too large"));
        }
        let length = self.out.write(bytes)?;
        self.left -= length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn http_date(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

fn from_http_date(text: &str) -> Option<std::time::SystemTime> {
    jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp().into())
}
