//! `tasuki bench`: tasuki measures itself, over real HTTP, with real processes and real disks.
//!
//! Every figure in `docs/performance.md` comes from here. A measurement starts its own server on throw-away data
//! with the settings of production (embedded database, `synchronous=FULL`), so it can run anywhere at any time.

mod compile;
mod configs;
mod create;
mod dispatch;
mod exec;
mod figure;
mod footprint;
mod hop;
mod logs;
mod process;
mod simulated;
mod stage;
mod start;
mod throughput;
mod wire;

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use figure::{Figure, Machine};

/// Measures tasuki on this machine
///
/// Examples:
///   tasuki bench all
///   tasuki bench dispatch --idle-runners 1000
///   tasuki bench throughput --seconds 60 --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// What to measure.
    #[arg(value_enum, default_values_t = [What::All])]
    what: Vec<What>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Length of the throughput measurement.
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Runners that wait in a long poll while dispatch is measured.
    #[arg(long, value_name = "N", default_value_t = 2)]
    idle_runners: usize,
    /// Simulated runners that work at the same time while throughput is measured.
    #[arg(long, value_name = "N", default_value_t = 64)]
    runners: usize,
    /// Database for dispatch, throughput and create; it must be empty [default: a file in the throw-away data]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Folder below which the throw-away data lies; it should be on the disk that production would use.
    #[arg(long, value_name = "DIR")]
    scratch: Option<std::path::PathBuf>,
    /// Measure in this process and print one JSON line (used by `compile` to get a process of its own).
    #[arg(long, hide = true, value_enum, value_name = "LANGUAGE")]
    inner: Option<compile::Subject>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    All,
    /// Need met and durable → a waiting runner holds the task.
    Dispatch,
    /// Trivial jobs from creation to accepted result, with simulated runners over HTTP.
    Throughput,
    /// Last command of a job → first command of the job that needs it, with the real shell runner.
    Hop,
    /// A configuration of 10,000 jobs, compiled; of each language.
    Compile,
    /// A pipeline of 10,000 jobs, created in a running server.
    Create,
    /// Byte written by a job → received by a reader of the live log.
    Logs,
    /// Memory and processor time of idle processes, size of the program.
    #[value(alias = "rss")]
    Footprint,
    /// Start of a server → ready.
    Start,
    /// `tasuki exec` → first command.
    Exec,
}

/// Settings that all measurements share.
struct Scene {
    seconds: Duration,
    idle_runners: usize,
    runners: usize,
    database: Option<String>,
    scratch: std::path::PathBuf,
}

impl Bench {
    /// Runs the measurements in order; prints the figures of each as soon as they are there.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if let Some(subject) = self.inner {
            return compile::inner(subject);
        }
        let scratch = tempfile::Builder::new()
            .prefix("tasuki-bench-")
            .tempdir_in(self.scratch.unwrap_or_else(std::env::temp_dir))
            .context("cannot make a scratch folder; name another with --scratch")?;
        let scene = Scene {
            seconds: Duration::from_secs(self.seconds),
            idle_runners: self.idle_runners,
            runners: self.runners,
            database: self.database.clone(),
            scratch: scratch.path().to_owned(),
        };
        let machine = Machine::here(&scene.scratch);
        let mut figures: Vec<Figure> = Vec::new();
        if !self.json {
            figure::print_machine(&machine);
        }
        for what in [
            What::Footprint,
            What::Start,
            What::Dispatch,
            What::Hop,
            What::Logs,
            What::Exec,
            What::Compile,
            What::Throughput,
            // Last: on a database that was named, its jobs would be taken by the runners of another measurement.
            What::Create,
        ] {
            if !self.what.contains(&What::All) && !self.what.contains(&what) {
                continue;
            }
            let measured = what.measure(&scene).await?;
            if !self.json {
                figure::print(&measured)?;
            }
            figures.extend(measured);
        }
        if self.json {
            figure::print_json(&machine, &figures)?;
        }
        Ok(())
    }
}

impl What {
    async fn measure(self, scene: &Scene) -> anyhow::Result<Vec<Figure>> {
        match self {
            Self::All => Ok(Vec::new()),
            Self::Dispatch => dispatch::measure(scene).await,
            Self::Throughput => throughput::measure(scene).await,
            Self::Hop => hop::measure(scene).await,
            Self::Compile => compile::measure(),
            Self::Create => create::measure(scene).await,
            Self::Logs => logs::measure(scene).await,
            Self::Footprint => footprint::measure(scene).await,
            Self::Start => start::measure(scene).await,
            Self::Exec => exec::measure(scene),
        }
    }
}
