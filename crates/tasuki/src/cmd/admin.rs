//! `tasuki admin`.

mod archive;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tasuki_server::config::Config;
use tasuki_store::{DbUrl, Store};

use crate::config::{DataDir, lock};
use crate::exit::{Exit, Mark as _, Outcome};
use crate::print;
use crate::role::read_config;

/// Keep a server alive and well: backup and restore.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    Backup(Backup),
    Restore(Restore),
}

/// Whose data.
#[derive(Debug, Clone, Args)]
struct Place {
    /// Configuration file of the server, where it has one
    #[arg(long, value_name = "FILE", env = "TASUKI_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataDir,
}

/// Write everything that the server keeps into one file. The server may run meanwhile.
///
/// The file holds the keys of all secrets: keep it as safe as the data folder. Artifacts and logs in an object store
/// are not in it; back those up there.
///
/// Examples:
///   tasuki admin backup /backup/tasuki-monday.zip
///   tasuki admin backup --config /etc/tasuki/server.toml backup.zip
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Backup {
    /// The file to write
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Bring a backup into an empty data folder (and an empty database). The server must not run.
///
/// A backup leads from SQLite to PostgreSQL and back: name the new database in the configuration.
///
/// Examples:
///   tasuki admin restore backup.zip --data /var/lib/tasuki
///   tasuki admin restore backup.zip --config /etc/tasuki/server.toml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Restore {
    /// The backup
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn config(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(file) => read_config(file),
            None => Ok(Config::in_dir(self.data.path()?)),
        }
    }
}

/// Where the database of a configuration is.
fn database(config: &Config) -> anyhow::Result<DbUrl> {
    match &config.database_url {
        Some(url) => Ok(url.parse()?),
        None => Ok(DbUrl::sqlite(&config.data_dir.join("tasuki.db"))),
    }
}

impl Admin {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
        }
    }
}

impl Backup {
    fn run(self) -> Outcome {
        let config = self.place.config()?;
        let url = database(&config)?;
        if config.database_url.is_none() && !config.data_dir.join("tasuki.db").is_file() {
            return Err(anyhow::anyhow!(
                "{} is no data folder of a server",
                config.data_dir.display()
            ))
            .usage()
            .hint("name the right one with --data or --config");
        }
        let store = Store::open(&url).context("cannot open the database")?;
        let written = archive::write(&store, &config.data_dir, &self.file)
            .with_context(|| format!("cannot back up into {}", self.file.display()))?;
        store.close();
        told(&written, self.json, "written to", &self.file)
    }
}

impl Restore {
    fn run(self) -> Outcome {
        let config = self.place.config()?;
        let _lock = lock(&config.data_dir)?;
        let url = database(&config)?;
        let restored = archive::read(&self.file, &url, &config.data_dir)
            .with_context(|| format!("cannot restore {}", self.file.display()))
            .hint("nothing is kept of a restore that failed but files in the data folder: empty it and try again")?;
        told(&restored, self.json, "restored from", &self.file)
    }
}

fn told(contents: &archive::Contents, json: bool, verb: &str, file: &Path) -> Outcome {
    if json {
        print::json(contents)?;
    } else {
        print::line(&format!(
            "{} rows and {} files {verb} {}",
            contents.rows,
            contents.files,
            file.display()
        ))?;
    }
    Ok(Exit::Success)
}
