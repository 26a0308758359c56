//! Output of several jobs as it comes, each line behind the name of its job.

use std::fmt::Write as _;

use serde_json::json;
use tasuki_proto::rest::Status;

use super::log::Piece;
use super::{Style, duration, raw};

/// Form of live output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    People,
    /// One JSON object a line.
    Json,
}

impl Form {
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::People }
    }
}

/// Colours of job names, told apart also by the names themselves.
const NAMES: [&str; 6] = ["36", "33", "35", "32", "34", "96"];

/// Writes what jobs print. A line is shown before its end is known: its line feed comes with the next one.
pub(crate) struct Live {
    form: Form,
    style: Style,
    /// Names are shown: there are several jobs.
    named: bool,
    width: usize,
    /// The job whose line is open.
    open: Option<usize>,
}

impl Live {
    /// For the jobs of these names.
    pub(crate) fn new(form: Form, style: Style, names: &[String]) -> Self {
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self {
            form,
            style,
            named: names.len() > 1,
            width: widest.min(40),
            open: None,
        }
    }

    /// A piece of job number `at`.
    pub(crate) fn piece(&mut self, at: usize, name: &str, piece: &Piece) -> anyhow::Result<()> {
        if self.form == Form::Json {
            return self.event(&json!({"event": "log", "job": name, "text": piece.text, "continues": piece.continues}));
        }
        let mut out = String::new();
        if !(piece.continues && self.open == Some(at)) {
            if self.open.is_some() {
                out.push('\n');
            }
            if self.named {
                let code = NAMES.get(at % NAMES.len()).copied().unwrap_or("0");
                let cut: String = name.chars().take(40).collect();
                let padded = format!("{cut:<width$} |", width = self.width);
                let _ = write!(out, "{} ", self.style.paint(code, &padded));
            }
        }
        out.push_str(&piece.text);
        self.open = Some(at);
        raw(&out)
    }

    /// A line of our own.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.close()?;
        raw(&format!("{text}\n"))
    }

    /// An object of `--json`.
    pub(crate) fn event(&mut self, event: &serde_json::Value) -> anyhow::Result<()> {
        raw(&format!("{event}\n"))
    }

    /// A job has another status.
    pub(crate) fn status(&mut self, id: i64, name: &str, status: Status, took_ms: Option<u64>) -> anyhow::Result<()> {
        match self.form {
            Form::Json => {
                self.event(&json!({"event": "job", "id": id, "job": name, "status": status, "duration_ms": took_ms}))
            }
            Form::People if status.is_final() && self.named => {
                let took = took_ms
                    .map(|ms| duration(std::time::Duration::from_millis(ms)))
                    .unwrap_or_default();
                let text = format!("{} {name} {}", self.style.status(status), self.style.dim(&took));
                self.line(text.trim_end())
            }
            Form::People => Ok(()),
        }
    }

    /// Ends an open line.
    pub(crate) fn close(&mut self) -> anyhow::Result<()> {
        match (self.form, self.open.take()) {
            (Form::People, Some(_)) => raw("\n"),
            _ => Ok(()),
        }
    }
}
