//! One artifact on its way to the server: archived while it is sent, never on disk.

use std::io::{self, Write as _};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use tasuki_model::reason::FailureReason;
use tasuki_proto::client::request_id;
use tasuki_proto::gitlab::headers;
use tokio::sync::mpsc;

use crate::guest::archive::{self, Method};
use crate::guest::error::{Error, Result};
use crate::guest::http::{self, BodyWriter, Failed, Http};
use crate::guest::selection::{self, Chosen};
use crate::guest::{Context, Format, Report, UploadArtifacts};

/// Attempts, and more of them where the server only is not ready.
const ATTEMPTS: u32 = 3;
const ATTEMPTS_WHEN_UNAVAILABLE: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// Pieces of the body between the archiving and the sending thread.
const PIECES: usize = 8;

/// Most redirects.
const MAX_REDIRECTS: u32 = 5;

/// Uploads what the request chooses.
pub(in crate::guest) fn upload(request: &UploadArtifacts, context: &Context) -> Result<Report> {
    let kind = if request.artifact_type.is_empty() {
        "archive"
    } else {
        &request.artifact_type
    };
    context.say(&format!("Uploading artifacts ({kind})..."));
    let chosen = selection::choose(&request.selection, &request.project, "artifact", context)?;
    if chosen.entries.is_empty() {
        context.say("ERROR: No files to upload");
        return Ok(Report {
            skipped: true,
            ..Report::default()
        });
    }
    if request.format == Format::Raw && chosen.files() != 1 {
        return Err(Error::job(format!(
            "a raw artifact is exactly one file, but {} match",
            chosen.files()
        )));
    }
    let coordinator = &request.coordinator;
    let http = Http::new(&coordinator.tls, &coordinator.user_agent)?;
    let mut url = address(request, kind)?;
    let (mut attempt, mut redirects) = (1, 0);
    let transferred = loop {
        let failed = match send(request, &chosen, &http, &url, context) {
            Ok(Sent::Accepted(bytes)) => break bytes,
            Ok(Sent::Elsewhere(next)) if redirects < MAX_REDIRECTS => {
                redirects += 1;
                url = next;
                continue;
            }
            Ok(Sent::Elsewhere(_)) => Failed::Network("redirected too often".to_owned()),
            Err(failed) => failed,
        };
        let (most, pause) = judge(&failed)?;
        if attempt >= most {
            return Err(Error::External {
                message: format!("uploading artifacts to the server failed: {}", failed.text()),
            });
        }
        context.say(&format!(
            "WARNING: uploading artifacts failed: {}; attempt {} of {most}",
            failed.text(),
            attempt + 1
        ));
        attempt += 1;
        Http::pause(context, pause)?;
    };
    context.say(&format!(
        "Uploading artifacts as \"{kind}\" to coordinator... 201 Created"
    ));
    Ok(Report {
        files: chosen.files(),
        bytes: chosen.bytes(),
        transferred,
        ..Report::default()
    })
}

/// How many attempts an error of this kind gets, and the pause before the next. No more: the error itself.
fn judge(failed: &Failed) -> Result<(u32, Duration)> {
    let fatal = |reason, what: &str| {
        Err(Error::Job {
            reason,
            message: format!("uploading artifacts failed: {what}: {}", failed.text()),
        })
    };
    match failed {
        Failed::Stopped => Err(Error::Stopped),
        Failed::Local(Error::Stopped) => Err(Error::Stopped),
        Failed::Local(error) => Err(Error::job(error.to_string())),
        Failed::Status {
            status, retry_after, ..
        } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => fatal(
                FailureReason::RunnerSystemFailure,
                "the server does not take the job's token",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                fatal(FailureReason::ScriptFailure, "the archive is too large for the server")
            }
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                fatal(FailureReason::ScriptFailure, "the server refuses it")
            }
            StatusCode::SERVICE_UNAVAILABLE => Ok((ATTEMPTS_WHEN_UNAVAILABLE, retry_after.unwrap_or(PAUSE))),
            _ => Ok((ATTEMPTS, retry_after.unwrap_or(PAUSE))),
        },
        Failed::Network(_) => Ok((ATTEMPTS, PAUSE)),
    }
}

fn address(request: &UploadArtifacts, kind: &str) -> Result<url::Url> {
    let text = format!(
        "{}/jobs/{}/artifacts",
        request.coordinator.api.trim_end_matches('/'),
        request.task_id
    );
    let mut url = url::Url::parse(&text)
        .map_err(|error| Error::job(format!("the server's address {text} is unusable: {error}")))?;
    let format = match request.format {
        Format::Zip | Format::ZipZstd | Format::TarZstd => "zip",
        Format::Gzip => "gzip",
        Format::Raw => "raw",
    };
    let mut query = url.query_pairs_mut();
    query
        .append_pair("artifact_format", format)
        .append_pair("artifact_type", kind);
    if !request.expire_in.is_empty() {
        query.append_pair("expire_in", &request.expire_in);
    }
    drop(query);
    Ok(url)
}

enum Sent {
    Accepted(u64),
    Elsewhere(url::Url),
}

/// One attempt: a thread archives into the body while this one sends it.
fn send(
    request: &UploadArtifacts,
    chosen: &Chosen,
    http: &Http,
    url: &url::Url,
    context: &Context,
) -> std::result::Result<Sent, Failed> {
    let boundary = boundary().map_err(Failed::Local)?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    std::thread::scope(|scope| {
        let boundary_of_body = boundary.clone();
        let archiving = std::thread::Builder::new()
            .name("artifact body".to_owned())
            .spawn_scoped(scope, move || body(request, chosen, &boundary_of_body, sender, context))
            .map_err(|error| Failed::Local(Error::io("start a thread")(error)))?;
        let pieces = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((piece, receiver))
        });
        let limits = &request.coordinator;
        let seconds = |given: u64, default: Duration| {
            if given == 0 {
                default
            } else {
                Duration::from_secs(given)
            }
        };
        let sending = http
            .client
            .post(url.clone())
            .header("JOB-TOKEN", request.token.expose())
            .header(headers::REQUEST_ID, request_id())
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
            .body(reqwest::Body::wrap_stream(pieces));
        let limit = seconds(limits.timeout_s, http::WHOLE);
        let answer = http.run(context, limit, async {
            let response = sending.send().await.map_err(Failed::network)?;
            match response.status() {
                status if status.is_success() => Ok(None),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                    let next = location.and_then(|location| url.join(location).ok());
                    next.map(Some)
                        .ok_or_else(|| Failed::Network("redirected to nowhere".to_owned()))
                }
                _ => Err(Failed::status(response).await),
            }
        });
        let archived = archiving
            .join()
            .map_err(|_| Failed::Local(Error::job("the archiving thread failed")))?;
        match (answer, archived) {
            (Ok(Some(next)), _) => same_protection(url, &next).map(|()| Sent::Elsewhere(next)),
            (Ok(None), Ok(bytes)) => Ok(Sent::Accepted(bytes)),
            // Our own error is why the request broke off, unless the server ended it first.
            (Ok(None) | Err(Failed::Network(_)), Err(BodyError::Archive(error))) => Err(Failed::Local(error)),
            (Ok(None), Err(BodyError::Cut)) => {
                Err(Failed::Network("the server did not read the whole archive".to_owned()))
            }
            (Err(failed), _) => Err(failed),
        }
    })
}

/// The token does not go from https to http.
fn same_protection(from: &url::Url, to: &url::Url) -> std::result::Result<(), Failed> {
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(Failed::Network(
            "redirected from https to an unprotected address".to_owned(),
        ));
    }
    Ok(())
}

enum BodyError {
    Archive(Error),
    /// The receiving side went away.
    Cut,
}

/// Writes the multipart body: one part named `file`. Returns the archive's size.
fn body(
    request: &UploadArtifacts,
    chosen: &Chosen,
    boundary: &str,
    sender: mpsc::Sender<io::Result<Bytes>>,
    context: &Context,
) -> std::result::Result<u64, BodyError> {
    let mut writer = BodyWriter::new(sender.clone());
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
        file_name(request, chosen)
    );
    let written = writer
        .write_all(head.as_bytes())
        .map_err(|_| BodyError::Cut)
        .and_then(|()| contents(request, chosen, &mut writer, context).map_err(BodyError::Archive));
    match written {
        Ok(bytes) => {
            let tail = format!("\r\n--{boundary}--\r\n");
            writer
                .write_all(tail.as_bytes())
                .and_then(|()| writer.flush())
                .map_err(|_| BodyError::Cut)?;
            Ok(bytes)
        }
        Err(_) if sender.is_closed() => Err(BodyError::Cut),
        Err(error) => {
            writer.fail();
            Err(error)
        }
    }
}

fn contents(request: &UploadArtifacts, chosen: &Chosen, out: &mut BodyWriter, context: &Context) -> Result<u64> {
    match request.format {
        Format::Zip => archive::write_zip(chosen, Method::Deflate(request.compression), out, context),
        Format::ZipZstd => archive::write_zip(chosen, Method::Zstd(request.compression), out, context),
        Format::TarZstd => archive::write_tar(chosen, request.compression, out, context),
        Format::Gzip => archive::write_gzip(chosen, out, context),
        Format::Raw => {
            let (path, _) = chosen
                .entries
                .iter()
                .find(|(_, found)| !found.is_dir())
                .ok_or_else(|| Error::job("no file"))?;
            let mut file = std::fs::File::open(chosen.project.join(path))
                .map_err(|error| Error::job(format!("cannot read {}: {error}", path.display())))?;
            io::copy(&mut file, out).map_err(Error::io("send the file"))
        }
    }
}

/// `<name>.zip`, `<name>.gz`, or the file's own name.
fn file_name(request: &UploadArtifacts, chosen: &Chosen) -> String {
    let name = match (request.name.as_str(), request.artifact_type.as_str()) {
        ("", "" | "archive") => "artifacts",
        ("", kind) => kind,
        (name, _) => name,
    };
    let full = match request.format {
        Format::Zip | Format::ZipZstd => format!("{name}.zip"),
        Format::TarZstd => format!("{name}.tar.zst"),
        Format::Gzip => format!("{name}.gz"),
        // Files of one task may have the same name in different folders: their steps give them others.
        Format::Raw if request.artifact_type == "file" && !request.name.is_empty() => request.name.clone(),
        Format::Raw => chosen
            .entries
            .iter()
            .find(|(_, found)| !found.is_dir())
            .and_then(|(path, _)| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    };
    // As browsers escape it: nothing in a name ends the quotes or the line.
    full.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn boundary() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| Error::system("get random numbers")(error.into()))?;
    Ok(format!("tasuki-{:032x}", u128::from_le_bytes(random)))
}
