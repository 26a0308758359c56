//! `tasuki server`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Served, lock};
use crate::exit::{Exit, Outcome};
use crate::print;
use crate::role::{Interrupts, reachable, read_config, server_runtime, start_server};

/// Start a server without a runner, as its configuration file says.
///
/// Prints `ready http://ADDRESS` when it serves. A signal stops it: requests under way are finished, jobs go on at
/// their runners and report when the server is back.
///
/// Examples:
///   tasuki server --config /etc/tasuki/server.toml
///   tasuki server --config /etc/tasuki/server.toml --check
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Server {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "TASUKI_CONFIG")]
    config: PathBuf,
    /// Check the file and do nothing else
    #[arg(long)]
    check: bool,
}

impl Server {
    pub(crate) fn run(self) -> Outcome {
        let config = read_config(&self.config)?;
        if self.check {
            print::line(&format!("{} is fine", self.config.display()))?;
            return Ok(Exit::Success);
        }
        server_runtime()?.block_on(async {
            let data = config.data_dir.clone();
            let _lock = lock(&data)?;
            let mut interrupts = Interrupts::listen()?;
            let server = start_server(config).await?;
            print::line(&format!("ready {}", reachable(server.address())))?;
            interrupts.next().await;
            Served::remove(&data);
            tokio::select! {
                _ = server.shutdown() => Ok(Exit::Success),
                _ = interrupts.next() => Ok(Exit::Interrupted),
            }
        })
    }
}
