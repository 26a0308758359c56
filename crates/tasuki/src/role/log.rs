//! The program's own log, on standard error.

use std::sync::Arc;

use clap::ValueEnum;
use tasuki_runner::commands::ProgramLog;
use tasuki_runner::config::{self, LogLevel};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::print::Style;

/// Form of the program's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    #[value(alias = "runner")]
    Text,
    Json,
}

impl From<config::LogFormat> for LogFormat {
    fn from(format: config::LogFormat) -> Self {
        match format {
            config::LogFormat::Text => Self::Text,
            config::LogFormat::Json => Self::Json,
        }
    }
}

/// What the command line and the environment ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSettings {
    pub(crate) format: Option<LogFormat>,
    pub(crate) level: Option<LogLevel>,
    /// Where nothing else is said.
    pub(crate) usual: LogLevel,
}

type Filter = reload::Layer<EnvFilter, Registry>;
type Lines = Box<dyn Layer<Layered<Filter, Registry>> + Send + Sync>;

/// The running log.
struct Adjustable {
    asked: LogSettings,
    /// `TASUKI_LOG` is set: it counts before all levels.
    filter_is_set: bool,
    filter: reload::Handle<EnvFilter, Registry>,
    lines: reload::Handle<Lines, Layered<Filter, Registry>>,
}

/// Starts the log. `TASUKI_LOG` (`debug`, `tasuki_server=trace,warn`) goes before every other level.
pub(crate) fn start_log(asked: LogSettings) -> Arc<dyn ProgramLog> {
    let set = EnvFilter::try_from_env("TASUKI_LOG").ok();
    let filter_is_set = set.is_some();
    let filter = set.unwrap_or_else(|| filter(asked.level.unwrap_or(asked.usual)));
    let (filter, filter_handle) = reload::Layer::new(filter);
    let (lines, lines_handle) = reload::Layer::new(lines(asked.format.unwrap_or(LogFormat::Text)));
    // A second call (tests in one process) keeps the first log.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Arc::new(Adjustable {
        asked,
        filter_is_set,
        filter: filter_handle,
        lines: lines_handle,
    })
}

impl ProgramLog for Adjustable {
    fn configure(&self, level: Option<LogLevel>, format: Option<config::LogFormat>) {
        // Fails only where the log is gone, with the process.
        if !self.filter_is_set {
            let level = self.asked.level.or(level).unwrap_or(self.asked.usual);
            let _ = self.filter.reload(filter(level));
        }
        let format = self.asked.format.or(format.map(LogFormat::from));
        let _ = self.lines.reload(lines(format.unwrap_or(LogFormat::Text)));
    }
}

/// The level of this program's own messages. What it is made of says nothing below `info`: its debugging holds contents of requests.
fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(match level {
        LogLevel::Trace => "info,tasuki=trace",
        LogLevel::Debug => "info,tasuki=debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    })
}

fn lines(format: LogFormat) -> Lines {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    match format {
        LogFormat::Text => layer.with_ansi(Style::stderr() == Style::Colour).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}
