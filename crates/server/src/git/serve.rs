//! Git's smart HTTP protocol, reading only: what a runner's `git fetch` talks to.
//!
//! Who may read is decided before these functions are called. They stream in both directions: a slow client slows git
//! down through the pipe instead of filling memory, and a client that stands still for [`IDLE`] is dropped.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::write::GzDecoder;
use futures_util::StreamExt as _;
use tasuki_rt::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::{debug, warn};

use super::command::{Call, Running};
use super::{Error, Mirror};

/// Longest pause of either side.
const IDLE: Duration = Duration::from_secs(120);
/// Most bytes of a request after decompression: haves and wants of a very large repository stay far below.
const REQUEST_LIMIT: u64 = 64 << 20;
/// Compressed input is decoded in pieces of this size, so that a bomb is noticed early.
const DECODE_PIECE: usize = 8 << 10;

/// `GET …/info/refs?service=…`: which refs there are (protocol 0 and 1) or what the server can do (protocol 2).
///
/// `service` is the query parameter; anything but `git-upload-pack` (also its absence, the "dumb" protocol) is refused.
pub async fn info_refs(mirror: &Mirror, headers: &HeaderMap, service: Option<&str>) -> Response {
    match service {
        Some("git-upload-pack") => {}
        Some("git-receive-pack") => {
            return refuse(
                StatusCode::FORBIDDEN,
                "this repository is a mirror: it cannot be pushed to",
            );
        }
        Some(_) | None => {
            return refuse(
                StatusCode::FORBIDDEN,
                "only git's smart HTTP protocol is served; update git",
            );
        }
    }
    mirror.settled().await;
    match advertise(mirror, protocol(headers)).await {
        Ok(body) => answer("application/x-git-upload-pack-advertisement", Body::from(body)),
        Err(error) => fail(mirror, &error),
    }
}

/// `POST …/git-upload-pack`: one round of the conversation; the answer streams while git makes it.
pub async fn upload_pack(mirror: &Mirror, tasks: &Tasks, headers: &HeaderMap, body: Body) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind != Some("application/x-git-upload-pack-request") {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/x-git-upload-pack-request",
        );
    }
    let zipped = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            return refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "only gzip is understood as content encoding",
            );
        }
    };
    mirror.settled().await;
    match serve(mirror, tasks, protocol(headers), zipped, body).await {
        Ok(body) => answer("application/x-git-upload-pack-result", body),
        Err(error) => fail(mirror, &error),
    }
}

/// The value of `Git-Protocol`, where it is one that can be passed on safely.
fn protocol(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("git-protocol")?.to_str().ok()?;
    let plain = value.len() <= 64
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"=:._-".contains(&b));
    plain.then_some(value)
}

fn is_v2(protocol: Option<&str>) -> bool {
    protocol.is_some_and(|value| value.split(':').any(|part| part == "version=2"))
}

fn call<'a>(mirror: &'a Mirror, protocol: Option<&str>, options: &[&str]) -> Call<'a> {
    let seconds = format!("--timeout={}", IDLE.as_secs());
    let mut call = Call::new(
        "upload-pack",
        mirror.dir(),
        ["upload-pack", "--stateless-rpc", "--strict", &seconds],
    );
    call.args.extend(options.iter().map(OsString::from));
    call.args.push(".".into());
    call.env.extend(protocol.map(|value| ("GIT_PROTOCOL", value.into())));
    call
}

async fn advertise(mirror: &Mirror, protocol: Option<&str>) -> Result<Bytes, Error> {
    // Protocol 2 tells abilities, not refs: the same bytes for every repository of the usual object format.
    let shared = is_v2(protocol) && !uses_sha256(mirror);
    if let (true, Some(known)) = (shared, mirror.git.advertisement().get()) {
        return Ok(known.clone());
    }
    let refs = mirror.git.bytes(call(mirror, protocol, &["--advertise-refs"])).await?;
    if is_v2(protocol) {
        let refs = Bytes::from(refs);
        if shared {
            let _ = mirror.git.advertisement().set(refs.clone());
        }
        return Ok(refs);
    }
    let mut body = b"001e# service=git-upload-pack\n0000".to_vec();
    body.extend_from_slice(&refs);
    Ok(Bytes::from(body))
}

fn uses_sha256(mirror: &Mirror) -> bool {
    std::fs::read_to_string(mirror.dir().join("config")).is_ok_and(|text| text.contains("sha256"))
}

async fn serve(
    mirror: &Mirror,
    tasks: &Tasks,
    protocol: Option<&str>,
    zipped: bool,
    body: Body,
) -> Result<Body, Error> {
    let what = "upload-pack";
    let pipe = |source| Error::Pipe { what, source };
    let permit = mirror.git.served().acquire_owned().await;
    let permit = permit.map_err(|closed| pipe(std::io::Error::other(closed)))?;
    let mut running = mirror.git.start(&call(mirror, protocol, &[]))?;
    let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
        return Err(pipe(std::io::Error::other("no pipe")));
    };
    let (send, receive) = mpsc::channel::<std::io::Result<Bytes>>(4);
    let shutdown = tasks.token();
    tasks.spawn("upload-pack", async move {
        tokio::select! {
            () = converse(running, stdin, stdout, zipped, body.into_data_stream(), send) => {}
            () = shutdown.cancelled() => {}
        }
        drop::<OwnedSemaphorePermit>(permit);
    });
    let stream = futures_util::stream::unfold(
        receive,
        |mut receive| async move { Some((receive.recv().await?, receive)) },
    );
    Ok(Body::from_stream(stream))
}

/// Pumps both directions until git has ended, the client is gone, or nothing moved for [`IDLE`].
async fn converse(
    mut running: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
    zipped: bool,
    body: BodyDataStream,
    send: mpsc::Sender<std::io::Result<Bytes>>,
) {
    let failed = send.clone();
    let feed = async {
        if let Err(error) = feed(stdin, zipped, body).await {
            debug!(%error, "a fetch request broke off");
            return Err(error);
        }
        Ok(())
    };
    let drain = drain(stdout, send);
    if let Err(error) = tokio::try_join!(feed, drain) {
        // The client must not take a cut answer for a whole one.
        let _ = failed.try_send(Err(error));
        return;
    }
    match tokio::time::timeout(IDLE, running.child.wait()).await {
        Ok(Ok(status)) if !status.success() => {
            let mut said = String::new();
            if let Some(stderr) = running.child.stderr.take() {
                let _ = stderr.take(4096).read_to_string(&mut said).await;
            }
            debug!(%status, said = said.trim(), "upload-pack ended with an error");
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => warn!(%error, "cannot learn how upload-pack ended"),
        Err(_) => warn!("upload-pack did not end after its answer and is killed"),
    }
}

async fn feed(mut stdin: ChildStdin, zipped: bool, mut body: BodyDataStream) -> std::io::Result<()> {
    let mut decoder = Decoder::new(zipped);
    loop {
        let Ok(next) = tokio::time::timeout(IDLE, body.next()).await else {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the request stood still",
            ));
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(std::io::Error::other)?;
        for piece in chunk.chunks(DECODE_PIECE) {
            stdin.write_all(&decoder.decode(piece)?).await?;
        }
    }
    stdin.write_all(&decoder.finish()?).await?;
    stdin.shutdown().await
}

async fn drain(mut stdout: ChildStdout, send: mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    loop {
        let mut buffer = bytes::BytesMut::with_capacity(64 << 10);
        if stdout.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if send.send_timeout(Ok(buffer.freeze()), IDLE).await.is_err() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the client took nothing or is gone",
            ));
        }
    }
}

/// Undoes the request's content encoding, piece by piece, within [`REQUEST_LIMIT`].
struct Decoder {
    gzip: Option<GzDecoder<Vec<u8>>>,
    left: u64,
}

impl Decoder {
    fn new(zipped: bool) -> Self {
        Self {
            gzip: zipped.then(|| GzDecoder::new(Vec::new())),
            left: REQUEST_LIMIT,
        }
    }

    fn decode(&mut self, piece: &[u8]) -> std::io::Result<Vec<u8>> {
        let plain = match &mut self.gzip {
            None => piece.to_vec(),
            Some(gzip) => {
                gzip.write_all(piece)?;
                std::mem::take(gzip.get_mut())
            }
        };
        self.count(plain)
    }

    fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let plain = match self.gzip.take() {
            None => Vec::new(),
            Some(gzip) => gzip.finish()?,
        };
        self.count(plain)
    }

    fn count(&mut self, plain: Vec<u8>) -> std::io::Result<Vec<u8>> {
        match self.left.checked_sub(plain.len() as u64) {
            Some(left) => {
                self.left = left;
                Ok(plain)
            }
            None => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the request is too large",
            )),
        }
    }
}

fn answer(kind: &'static str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache, max-age=0, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "Fri, 01 Jan 1980 00:00:00 GMT"),
    ];
    (headers, body).into_response()
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        format!("{why}\n"),
    )
        .into_response()
}

fn fail(mirror: &Mirror, error: &Error) -> Response {
    warn!(mirror = %mirror.dir().display(), %error, "cannot serve a fetch");
    refuse(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server cannot read its mirror of this repository",
    )
}
