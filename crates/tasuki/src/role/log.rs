//! The program's own log, on standard error.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::print::Style;

/// Form of the program's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Starts the log. `level` counts unless `TASUKI_LOG` says otherwise (`debug`, `tasuki_server=trace,warn`).
pub(crate) fn start_log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_env("TASUKI_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second call (tests in one process) keeps the first log.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(Style::stderr() == Style::Colour).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
