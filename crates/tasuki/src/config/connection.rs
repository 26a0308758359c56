//! How a command reaches a server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tasuki_model::secret::Secret;
use tasuki_proto::client::{ApiClient, TlsFiles, TransportConfig};

use super::{DataDir, Served};
use crate::exit::Mark as _;

/// Which server, and as whom. A local `tasuki up` needs nothing: its address and token lie in its data folder.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Connection {
    /// Address of the server [default: the one of the data folder]
    #[arg(long, value_name = "URL", env = "TASUKI_URL")]
    url: Option<String>,
    /// File that holds the token; without it the variable TASUKI_TOKEN counts
    #[arg(long, value_name = "FILE", env = "TASUKI_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that the server may be signed by, beside the system's
    #[arg(long, value_name = "FILE", env = "TASUKI_CA_FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    data: DataDir,
}

impl Connection {
    /// A client of that server.
    ///
    /// # Errors
    /// No server is known, or its token cannot be read.
    pub(crate) fn client(&self) -> anyhow::Result<ApiClient> {
        let (url, token) = self.place()?;
        client(&url, token, self.ca_file.clone())
    }

    /// The data folder of the options.
    pub(crate) fn data(&self) -> &DataDir {
        &self.data
    }

    fn place(&self) -> anyhow::Result<(String, Option<Secret>)> {
        let token = self.token()?;
        if let Some(url) = &self.url {
            return Ok((url.clone(), token));
        }
        let data = self.data.path()?;
        let served = Served::read(&data)
            .with_context(|| format!("no server runs with the data folder {}", data.display()))
            .hint("start one with `tasuki up`, or name another with TASUKI_URL and TASUKI_TOKEN")?;
        let token = match token {
            Some(token) => token,
            None => read_token(&data.join("admin.token"))?,
        };
        Ok((served.url, Some(token)))
    }

    fn token(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(file) = &self.token_file {
            return read_token(file).map(Some);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a secret has no place among the arguments that clap shows"
        )]
        let token = std::env::var("TASUKI_TOKEN").ok();
        Ok(token.filter(|token| !token.is_empty()).map(Secret::new))
    }
}

/// A client of the server at `url`.
pub(crate) fn client(url: &str, token: Option<Secret>, ca: Option<PathBuf>) -> anyhow::Result<ApiClient> {
    tasuki_proto::tls::install();
    let config = TransportConfig {
        tls: TlsFiles {
            ca,
            ..TlsFiles::default()
        },
        connection_max_age: Duration::ZERO,
        ..TransportConfig::default()
    };
    Ok(ApiClient::new(url, token, config)?)
}

fn read_token(file: &std::path::Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the token in {}", file.display()));
    let text = text
        .usage()
        .hint("only the user who runs the server may read it; others need TASUKI_TOKEN")?;
    Ok(Secret::new(text.trim()))
}
