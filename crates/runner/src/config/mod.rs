//! `config.toml`, as gitlab-runner reads and writes it.
//!
//! Keys match exactly first, then whatever their case; unknown ones are kept when the file is written and listed for
//! `lint`. `$NAME` is expanded in `url` and `token` only. Comments are lost when a command writes the file, as
//! they are with gitlab-runner.

mod cache;
mod docker;
mod docker_keys;
mod document;
mod duration;
mod file;
pub mod kubernetes;
mod lint;
mod log;
mod place;
mod runner;
mod schema;
#[cfg(test)]
mod tests;
mod types;
mod words;

pub use cache::{AzureCache, CacheConfig, GcsCache, S3Cache};
pub use docker::{DockerConfig, DockerService, OneOrMany};
pub(crate) use document::decoded;
pub use duration::{BadDuration, GoDuration, parse_duration, show_duration};
pub use file::{ConfigFile, Environment};
pub use kubernetes::KubernetesConfig;
pub use lint::lint;
pub use log::{LogFormat, LogLevel};
pub use place::{Place, Problem};
pub use runner::{ArtifactConfig, CustomBuildDir, CustomConfig, RunnerConfig, SshConfig};
pub use schema::Unknown;
pub use types::{Config, SessionServer};
pub use words::{ExecutorKind, ShellWord, UnknownWord};

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {}", path.display())]
    Write {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not valid TOML", path.display())]
    Syntax {
        path: std::path::PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A key has a value of the wrong type.
    #[error("{}{}: {message}", path.display(), place.map(|place| format!(":{place}")).unwrap_or_default())]
    Value {
        path: std::path::PathBuf,
        /// Absent where the text has none, or not one only.
        place: Option<Place>,
        message: String,
    },
    #[error("the configuration cannot be written as TOML")]
    Encode(#[source] toml::ser::Error),
    #[error("no runner in {} matches; `runner list` shows those that are there", path.display())]
    NoSuchRunner { path: std::path::PathBuf },
}
