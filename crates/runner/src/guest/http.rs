//! HTTP of the guest: a client for one request, used from blocking code.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::mpsc;

use super::error::{Error, Result};
use super::{Context, Tls};

/// Where no time limit is given: GitLab's.
pub(super) const WHOLE: Duration = Duration::from_secs(3600);
pub(super) const RESPONSE: Duration = Duration::from_secs(600);

/// Connections are tried for this long.
const CONNECT: Duration = Duration::from_secs(30);

/// How often a stop is looked for.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// Bytes of an error's body that are shown.
const SHOWN: usize = 300;

/// A client with a runtime of its own, for a thread that may block.
pub(super) struct Http {
    runtime: tokio::runtime::Runtime,
    pub(super) client: Client,
}

impl Http {
    /// Never follows redirects by itself: who gets which token is decided at each hop.
    pub(super) fn new(tls: &Tls, user_agent: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start the network runtime"))?;
        tasuki_proto::tls::install();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(if user_agent.is_empty() {
                concat!("tasuki-guest/", env!("CARGO_PKG_VERSION"))
            } else {
                user_agent
            });
        let read = |path: &std::path::Path| {
            std::fs::read(path)
                .map_err(|error| Error::job(format!("cannot read the certificate file {}: {error}", path.display())))
        };
        if let Some(file) = &tls.ca_file {
            let roots = reqwest::Certificate::from_pem_bundle(&read(file)?)
                .map_err(|error| Error::job(format!("{} holds no certificates: {error}", file.display())))?;
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            let identity = reqwest::Identity::from_pem(&pem).map_err(|error| {
                Error::job(format!(
                    "the client certificate {} is unusable: {error}",
                    cert.display()
                ))
            })?;
            builder = builder.identity(identity);
        }
        let client = builder
            .build()
            .map_err(|error| Error::system("set up HTTP")(error.into()))?;
        Ok(Self { runtime, client })
    }

    /// Runs `work` to its end, to `limit`, or to the context's stop.
    pub(super) fn run<T>(
        &self,
        context: &Context,
        limit: Duration,
        work: impl Future<Output = std::result::Result<T, Failed>>,
    ) -> std::result::Result<T, Failed> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = tokio::time::sleep(limit) => Err(Failed::Network(format!("no end after {} s", limit.as_secs()))),
                () = context.stop().pulled() => Err(Failed::Stopped),
            }
        })
    }

    /// Waits before another attempt.
    pub(super) fn pause(context: &Context, pause: Duration) -> Result<()> {
        let mut left = pause;
        while !left.is_zero() {
            if context.stop().is_pulled() {
                return Err(Error::Stopped);
            }
            let now = left.min(STOP_CHECK);
            std::thread::sleep(now);
            left -= now;
        }
        Ok(())
    }
}

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Failed {
    /// An answer, but not the wanted one.
    Status {
        status: StatusCode,
        message: String,
        retry_after: Option<Duration>,
    },
    Network(String),
    Stopped,
    /// Not the network: what was to be sent or kept could not be read or written.
    Local(Error),
}

impl Failed {
    /// The answer's status and what its body says.
    pub(super) async fn status(response: Response) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(60)));
        let body = response.bytes().await.unwrap_or_default();
        Self::Status {
            status,
            message: explain(&body),
            retry_after,
        }
    }

    pub(super) fn network(error: reqwest::Error) -> Self {
        // The URL may hold a signature.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Network(text)
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Status { status, message, .. } if message.is_empty() => status.to_string(),
            Self::Status { status, message, .. } => format!("{status} ({message})"),
            Self::Network(text) => text.clone(),
            Self::Stopped => "stopped".to_owned(),
            Self::Local(error) => error.to_string(),
        }
    }
}

/// The message of an error body: JSON of the API, XML of an object store, or the beginning of what it is.
fn explain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(8 << 10)]);
    let from_json = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|value| {
        ["message", "detail", "error", "title"]
            .into_iter()
            .find_map(|key| match value.get(key)? {
                serde_json::Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            })
    });
    let from_xml = || {
        let start = text.find("<Message>")? + "<Message>".len();
        Some(text[start..].split('<').next()?.to_owned())
    };
    let message = from_json.or_else(from_xml).unwrap_or_else(|| text.trim().to_owned());
    message.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Writing into a request body.
pub(super) struct BodyWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

const PIECE: usize = 256 << 10;

impl BodyWriter {
    pub(super) fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: Vec::with_capacity(PIECE),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Breaks the request off: the receiver must not take what came so far for the whole.
    pub(super) fn fail(self) {
        let _ = self
            .sender
            .blocking_send(Err(io::Error::other("the archive could not be made")));
    }
}

impl io::Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
