//! The connection to the engine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::attach::Attached;
use super::error::{Error, Result};

/// The newest API that we know; an older engine is spoken to in its own.
const NEWEST: (u32, u32) = (1, 47);

/// The oldest API that has what we need (Docker 20.10, Podman 4).
const OLDEST: (u32, u32) = (1, 40);

/// How long calls may take that only ask or change a little. Stopping a container may take as long as its processes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a silent connection to another machine shows that it lives: some are silent for as long as a checkout takes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::executor::docker) enum Address {
    Socket(PathBuf),
    Tcp {
        authority: String,
        /// Folder of `ca.pem`, `cert.pem` and `key.pem`; absent = no TLS.
        certificates: Option<PathBuf>,
    },
}

impl Address {
    /// Reads `unix:///path`, `tcp://host:port`, `http(s)://host:port`.
    pub(in crate::executor::docker) fn parse(text: &str, certificates: Option<PathBuf>) -> Result<Self> {
        let wrong = || Error::Address {
            message: format!(
                "{text:?} is not the address of a container engine: write unix:///run/docker.sock or tcp://host:2376"
            ),
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let rest = rest.trim_end_matches(if scheme == "unix" { '\0' } else { '/' });
        match scheme {
            _ if rest.is_empty() => Err(wrong()),
            "unix" => Ok(Self::Socket(PathBuf::from(rest))),
            "tcp" | "http" | "https" => Ok(Self::Tcp {
                authority: rest.to_owned(),
                certificates,
            }),
            _ => Err(wrong()),
        }
    }

    /// Whether the engine runs on this machine, so that a folder of ours can be mounted.
    pub(in crate::executor::docker) fn is_local(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { authority, .. } => write!(f, "tcp://{authority}"),
        }
    }
}

/// A client of one engine. Clones share its connections.
#[derive(Debug, Clone)]
pub(in crate::executor::docker) struct Engine {
    http: Client,
    address: Address,
    /// `http://host/v1.41`
    base: String,
    /// It is Podman.
    podman: bool,
}

impl Engine {
    /// Connects, and agrees on a version of the API.
    pub(in crate::executor::docker) async fn connect(address: Address) -> Result<Self> {
        tasuki_proto::tls::install();
        let builder = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(8)
            .tcp_keepalive(KEEP_ALIVE);
        let (builder, host) = match &address {
            Address::Socket(path) => (builder.unix_socket(path.clone()), "http://docker".to_owned()),
            Address::Tcp {
                authority,
                certificates: None,
            } => (builder, format!("http://{authority}")),
            Address::Tcp {
                authority,
                certificates: Some(folder),
            } => (with_certificates(builder, folder)?, format!("https://{authority}")),
        };
        let http = builder.build().map_err(|error| Error::Address {
            message: format!("the client of the container engine cannot be set up: {error}"),
        })?;
        let engine = Self {
            http,
            base: host.clone(),
            address,
            podman: false,
        };
        let pong = engine.answer(Method::GET, "/_ping", None).await?;
        let theirs = pong
            .headers()
            .get("Api-Version")
            .and_then(|version| version.to_str().ok());
        let (major, minor) = version(theirs.unwrap_or_default())
            .filter(|version| *version >= OLDEST)
            .ok_or_else(|| Error::Address {
                message: format!(
                    "the container engine at {} speaks API {}, and {}.{} is the oldest that will do",
                    engine.address,
                    theirs.unwrap_or("unknown"),
                    OLDEST.0,
                    OLDEST.1
                ),
            })?
            .min(NEWEST);
        Ok(Self {
            base: format!("{host}/v{major}.{minor}"),
            podman: pong.headers().contains_key("Libpod-Api-Version"),
            ..engine
        })
    }

    pub(in crate::executor::docker) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether a container may be made before its network is: Docker looks for it when the container starts, Podman at once.
    pub(in crate::executor::docker) fn knows_networks_late(&self) -> bool {
        !self.podman
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends, and makes an error of what is none of the good answers.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|source| Error::Unreachable {
            address: self.address.to_string(),
            source: source.without_url(),
        })?;
        let status = response.status().as_u16();
        if status < 300 {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
            .unwrap_or(text);
        Err(Error::Refused {
            status,
            message: message.trim().to_owned(),
        })
    }

    pub(super) async fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let mut request = self.request(method, path).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    /// A call without an answer to look into.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<()> {
        self.answer(method, path, body).await.map(drop)
    }

    /// A call with a JSON answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let call = format!("{method} {path}");
        let bytes = self.answer(method, path, body).await?.bytes().await;
        let unknown = |source: Box<dyn std::error::Error + Send + Sync>| Error::Answer {
            call: call.clone(),
            source,
        };
        let bytes = bytes.map_err(|error| unknown(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|error| unknown(error.into()))
    }

    /// A call that turns the connection into a stream of its own.
    pub(super) async fn upgrade(&self, path: &str, body: Option<&Value>) -> Result<Attached> {
        let mut request = self
            .request(Method::POST, path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "tcp");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request).await?;
        let stream = response.upgrade().await.map_err(|source| Error::Answer {
            call: format!("POST {path}"),
            source: source.into(),
        })?;
        Ok(Attached::new(stream))
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn with_certificates(builder: reqwest::ClientBuilder, folder: &Path) -> Result<reqwest::ClientBuilder> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|error| Error::Address {
            message: format!("cannot read {}: {error}", path.display()),
        })
    };
    let unusable = |error: reqwest::Error| Error::Address {
        message: format!("the certificates in {} cannot be used: {error}", folder.display()),
    };
    let authorities = reqwest::Certificate::from_pem_bundle(&read("ca.pem")?).map_err(unusable)?;
    let mut identity = read("cert.pem")?;
    identity.extend(read("key.pem")?);
    let identity = reqwest::Identity::from_pem(&identity).map_err(unusable)?;
    Ok(builder.tls_certs_only(authorities).identity(identity))
}
