//! Artifacts of earlier jobs on their way into the project folder.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use tasuki_model::reason::FailureReason;
use tasuki_proto::client::request_id;
use tasuki_proto::gitlab::headers;

use crate::guest::archive::{self, Limits};
use crate::guest::error::{Error, Result};
use crate::guest::http::{self, Failed, Http};
use crate::guest::{ArtifactSource, Context, Dependency, DownloadArtifacts, Report};

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
const MAX_REDIRECTS: u32 = 10;

/// Downloads and unpacks all of them, in order.
pub(in crate::guest) fn download(request: &DownloadArtifacts, context: &Context) -> Result<Report> {
    let mut report = Report {
        skipped: request.dependencies.is_empty(),
        ..Report::default()
    };
    if request.dependencies.is_empty() {
        return Ok(report);
    }
    let coordinator = &request.coordinator;
    let http = Http::new(&coordinator.tls, &coordinator.user_agent)?;
    std::fs::create_dir_all(&request.project).map_err(Error::io("make the project folder"))?;
    for dependency in &request.dependencies {
        context.say(&format!(
            "Downloading artifacts for {} ({})...",
            dependency.name, dependency.id
        ));
        let (archive, bytes) = fetch(request, dependency, &http, context)?;
        report.transferred += bytes;
        context.say(&format!("Downloading artifacts from coordinator... ok ({bytes} bytes)"));
        let unpacked = archive::unpack(archive, &request.project, Limits::default(), context)?;
        report.files += unpacked.files;
        report.bytes += unpacked.bytes;
    }
    Ok(report)
}

/// Brings one archive into a file that has no name.
fn fetch(request: &DownloadArtifacts, dependency: &Dependency, http: &Http, context: &Context) -> Result<(File, u64)> {
    let mut attempt = 1;
    loop {
        // Straight from the object store only at first: where that is out of reach, the server passes it on.
        let failed = match attempt_once(request, dependency, request.direct && attempt == 1, http, context) {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        match &failed {
            Failed::Stopped | Failed::Local(Error::Stopped) => return Err(Error::Stopped),
            Failed::Local(error) => return Err(Error::job(error.to_string())),
            Failed::Status {
                status: StatusCode::NOT_FOUND,
                ..
            } => {
                return Err(Error::Job {
                    reason: FailureReason::MissingDependencyFailure,
                    message: format!(
                        "the artifacts of {} ({}) are not there: they expired or were removed; run that job again",
                        dependency.name, dependency.id
                    ),
                });
            }
            Failed::Status {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            } => {
                return Err(Error::Job {
                    reason: FailureReason::RunnerSystemFailure,
                    message: format!(
                        "the server does not give out the artifacts of {}: {}",
                        dependency.name,
                        failed.text()
                    ),
                });
            }
            _ if attempt >= ATTEMPTS => {
                let message = format!(
                    "downloading the artifacts of {} failed: {}",
                    dependency.name,
                    failed.text()
                );
                return Err(Error::External { message });
            }
            _ => {}
        }
        attempt += 1;
        context.say(&format!(
            "WARNING: downloading failed: {}; attempt {attempt} of {ATTEMPTS}",
            failed.text()
        ));
        Http::pause(context, PAUSE)?;
    }
}

fn attempt_once(
    request: &DownloadArtifacts,
    dependency: &Dependency,
    direct: bool,
    http: &Http,
    context: &Context,
) -> std::result::Result<(File, u64), Failed> {
    let local = |what: &'static str| move |error| Failed::Local(Error::io(what)(error));
    let folder = context
        .env()
        .iter()
        .rev()
        .find(|(key, _)| key == "TMPDIR")
        .map_or("/tmp", |(_, value)| value);
    let mut file = tempfile::tempfile_in(folder).map_err(local("make a temporary file"))?;
    let (address, mut with_token) = match &dependency.source {
        Some(ArtifactSource::Url(url)) => (url.expose().to_owned(), false),
        None => {
            let api = request.coordinator.api.trim_end_matches('/');
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            if direct {
                query.append_pair("direct_download", "true");
            }
            if let Some(file) = &dependency.file {
                query.append_pair("artifact_type", &file.artifact_type);
                query.append_pair("filename", &file.filename);
            }
            let query = query.finish();
            let mark = if query.is_empty() { "" } else { "?" };
            (format!("{api}/jobs/{}/artifacts{mark}{query}", dependency.id), true)
        }
    };
    let mut url = url::Url::parse(&address)
        .map_err(|error| Failed::Local(Error::job(format!("the address of the artifacts is unusable: {error}"))))?;
    let limit = match request.coordinator.timeout_s {
        0 => http::WHOLE,
        seconds => Duration::from_secs(seconds),
    };
    let bytes = http.run(context, limit, async {
        for _ in 0..=MAX_REDIRECTS {
            let mut asking = http.client.get(url.clone()).header(headers::REQUEST_ID, request_id());
            if with_token {
                asking = asking.header("JOB-TOKEN", dependency.token.expose());
            }
            let response = tokio::time::timeout(http::RESPONSE, asking.send())
                .await
                .map_err(|_| Failed::Network("no answer".to_owned()))?
                .map_err(Failed::network)?;
            if response.status().is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let next = location.and_then(|location| url.join(location).ok());
                url = next.ok_or_else(|| Failed::Network("redirected to nowhere".to_owned()))?;
                // The object store must not learn the token.
                with_token = false;
                continue;
            }
            if response.status() != StatusCode::OK {
                return Err(Failed::status(response).await);
            }
            let wanted = response.content_length();
            let mut body = response.bytes_stream();
            let mut bytes = 0;
            while let Some(piece) = body.next().await {
                let piece = piece.map_err(Failed::network)?;
                file.write_all(&piece).map_err(local("write a temporary file"))?;
                bytes += piece.len() as u64;
            }
            if wanted.is_some_and(|wanted| wanted != bytes) {
                return Err(Failed::Network("the answer was cut short".to_owned()));
            }
            return Ok(bytes);
        }
        Err(Failed::Network("redirected too often".to_owned()))
    })?;
    file.seek(SeekFrom::Start(0)).map_err(local("read a temporary file"))?;
    Ok((file, bytes))
}
