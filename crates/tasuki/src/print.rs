//! What is written for people: colours, tables, times. Data for programs is JSON and bypasses all of this.

mod live;
mod log;
mod style;
mod table;

use std::io::Write as _;

use serde::Serialize;

pub(crate) use live::{Form, Live};
pub(crate) use log::{LogReader, Piece, readable};
pub(crate) use style::Style;
pub(crate) use table::{Table, ago, duration};

/// Writes a line to standard output. A reader that has seen enough (`| head`) ends the process quietly.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    raw(&format!("{text}\n"))
}

/// Writes text to standard output as it is.
pub(crate) fn raw(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Writes data as indented JSON.
pub(crate) fn json<T: Serialize>(data: &T) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(data)?)
}

/// Tells something to the person at the terminal, on standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
