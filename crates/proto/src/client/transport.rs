//! HTTP clients that follow their TLS files and do not grow old.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use reqwest::{Certificate, Client, Identity, redirect};
use url::Url;

/// Files that TLS is set up from. All optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Added to the system's certificates.
    pub ca: Option<PathBuf>,
    /// Client certificate and its key.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Fills what is not set from `<dir>/<host>.crt`, `<host>.auth.crt` and `<host>.auth.key` where they exist.
    #[must_use]
    pub fn probe(mut self, dir: &Path, host: &str) -> Self {
        let there = |suffix: &str| Some(dir.join(format!("{host}{suffix}"))).filter(|path| path.is_file());
        self.ca = self.ca.or_else(|| there(".crt"));
        if self.cert.is_none() && self.key.is_none() {
            self.cert = there(".auth.crt");
            self.key = there(".auth.key");
        }
        self
    }

    fn changed_at(&self) -> [Option<SystemTime>; 3] {
        [&self.ca, &self.cert, &self.key].map(|file| std::fs::metadata(file.as_deref()?).ok()?.modified().ok())
    }
}

/// How a [`Transport`] builds its clients.
#[derive(Debug, Clone)]
pub struct TransportConfig {
    pub tls: TlsFiles,
    pub user_agent: String,
    /// Connections older than this are not used again; 0 = no limit.
    pub connection_max_age: Duration,
    /// Limit of a whole request.
    pub timeout: Duration,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            tls: TlsFiles::default(),
            user_agent: concat!("tasuki/", env!("CARGO_PKG_VERSION")).to_owned(),
            connection_max_age: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(60 * 60),
        }
    }
}

/// No client could be built.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("{url:?} is not the address of a server: write it like https://gitlab.example.com")]
    Url { url: String },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} holds no certificate in PEM form", path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("a client certificate needs both tls-cert-file and tls-key-file")]
    HalfIdentity,
    #[error("the HTTP client cannot be set up")]
    Build(#[source] reqwest::Error),
}

/// The base address of the runner API of a configured `url`: trailing `/` and `/ci` off, `/api/v4/` on.
///
/// # Errors
/// When it is not http(s) or has no host.
pub fn api_base(url: &str) -> Result<Url, TransportError> {
    let bad = || TransportError::Url { url: url.to_owned() };
    // `https://` plus a path would parse, with the path's first word as the host.
    Url::parse(url.trim()).map_err(|_| bad())?;
    let trimmed = url.trim().trim_end_matches('/');
    let trimmed = trimmed.strip_suffix("/ci").unwrap_or(trimmed);
    let base = Url::parse(&format!("{trimmed}/api/v4/")).map_err(|_| bad())?;
    let usable = matches!(base.scheme(), "http" | "https") && base.host_str().is_some_and(|host| !host.is_empty());
    if usable { Ok(base) } else { Err(bad()) }
}

/// Gives out a client that is young enough and was built from the present TLS files.
#[derive(Debug)]
pub struct Transport {
    config: TransportConfig,
    https: bool,
    current: Mutex<Option<Built>>,
}

#[derive(Debug)]
struct Built {
    client: Client,
    at: Instant,
    files: [Option<SystemTime>; 3],
}

impl Transport {
    /// A transport to `base`. Nothing is read or connected yet.
    #[must_use]
    pub fn new(base: &Url, config: TransportConfig) -> Self {
        Self {
            config,
            https: base.scheme() == "https",
            current: Mutex::new(None),
        }
    }

    /// The client to use now.
    ///
    /// # Errors
    /// When a TLS file cannot be read or is damaged.
    pub fn client(&self) -> Result<Client, TransportError> {
        let files = if self.https {
            self.config.tls.changed_at()
        } else {
            [None; 3]
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let max_age = self.config.connection_max_age;
        if let Some(built) = current.as_ref() {
            let young = max_age.is_zero() || built.at.elapsed() < max_age;
            if young && built.files == files {
                return Ok(built.client.clone());
            }
        }
        let client = self.build()?;
        *current = Some(Built {
            client: client.clone(),
            at: Instant::now(),
            files,
        });
        Ok(client)
    }

    /// The certificates of `tls-ca-file`, for the job's own tools.
    #[must_use]
    pub fn tls_files(&self) -> &TlsFiles {
        &self.config.tls
    }

    fn build(&self) -> Result<Client, TransportError> {
        // The HTTP client asks for a provider of TLS even where it will not use it.
        crate::tls::install();
        let mut builder = Client::builder()
            .user_agent(&self.config.user_agent)
            .timeout(self.config.timeout)
            .connect_timeout(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(90))
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .http1_only()
            // A redirect would carry the token to another place; the configured address has to be the right one.
            .redirect(redirect::Policy::none());
        if self.https {
            builder = builder.min_tls_version(reqwest::tls::Version::TLS_1_2);
            if let Some(path) = &self.config.tls.ca {
                let certificates =
                    Certificate::from_pem_bundle(&read(path)?).map_err(|source| TransportError::Certificate {
                        path: path.clone(),
                        source,
                    })?;
                builder = builder.tls_certs_merge(certificates);
            }
            match (&self.config.tls.cert, &self.config.tls.key) {
                (Some(cert), Some(key)) => {
                    let pem = [read(key)?, b"\n".to_vec(), read(cert)?].concat();
                    let identity = Identity::from_pem(&pem).map_err(|source| TransportError::Certificate {
                        path: cert.clone(),
                        source,
                    })?;
                    builder = builder.identity(identity);
                }
                (None, None) => {}
                (Some(_), None) | (None, Some(_)) => return Err(TransportError::HalfIdentity),
            }
        } else {
            // Without TLS the system's certificates are not loaded: that is most of an idle runner's memory.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(TransportError::Build)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|source| TransportError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses() {
        for (url, base) in [
            ("https://gitlab.com", Some("https://gitlab.com/api/v4/")),
            ("https://gitlab.com/", Some("https://gitlab.com/api/v4/")),
            ("http://host:8080/ci/", Some("http://host:8080/api/v4/")),
            ("http://host/sub/ci", Some("http://host/sub/api/v4/")),
            (" http://[::1]:80/ ", Some("http://[::1]/api/v4/")),
            ("gitlab.com", None),
            ("ftp://gitlab.com", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(api_base(url).ok().as_ref().map(Url::as_str), base, "{url}");
        }
    }
}
