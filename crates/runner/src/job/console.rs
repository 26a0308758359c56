//! What the runner itself writes into the log: banner, sections, notes.

use std::sync::Arc;

use tasuki_rt::Clock;

use super::host::{Host, Progress};
use super::stage::Stage;
use crate::trace::{Log, LogStream, Source};

const CYAN: &str = "\u{1b}[36;1m";
const GREEN: &str = "\u{1b}[32;1m";
const YELLOW: &str = "\u{1b}[0;33m";
const RED: &str = "\u{1b}[31;1m";
const RESET: &str = "\u{1b}[0;m";
/// Erases to the end of the line: what is before it does not show on terminals.
const ERASE: &str = "\u{1b}[0K";

/// The runner's own stream of the log.
pub(super) struct Console {
    stream: Arc<LogStream>,
    log: Arc<Log>,
    clock: Clock,
    sections: bool,
    executor: &'static str,
    progress: Progress,
}

impl Console {
    /// `sections`: the server shows them.
    pub(super) fn new(log: &Arc<Log>, host: &Host, sections: bool) -> Self {
        Self {
            stream: Arc::new(log.stream(Source::Runner)),
            log: Arc::clone(log),
            clock: host.clock.clone(),
            sections,
            executor: host.executor.kind(),
            progress: host.progress.clone(),
        }
    }

    /// The stream, for what an executor has to say.
    pub(super) fn stream(&self) -> Arc<LogStream> {
        Arc::clone(&self.stream)
    }

    /// A fresh stream for the output of programs; it ends when it is dropped.
    pub(super) fn work(&self) -> LogStream {
        self.log.stream(Source::Work)
    }

    /// Hides one more secret from now on.
    pub(super) fn mask(&self, secret: &str) {
        self.log.mask(secret);
    }

    /// Whether something in a text would be hidden.
    pub(super) fn hides(&self, text: &str) -> bool {
        self.log.hides(text)
    }

    pub(super) fn line(&self, text: &str) {
        self.stream.line(text);
    }

    pub(super) fn warn(&self, text: &str) {
        self.stream.line(&format!("{YELLOW}WARNING: {text}{RESET}"));
    }

    pub(super) fn error(&self, text: &str) {
        self.stream.line(&format!("{RED}{text}{RESET}"));
    }

    pub(super) fn good(&self, text: &str) {
        self.stream.line(&format!("{GREEN}{text}{RESET}"));
    }

    pub(super) fn open(&self, stage: &Stage) {
        self.progress.enter(&stage.to_string());
        let title = format!("{ERASE}{CYAN}{}{RESET}", stage.title(self.executor));
        if self.sections {
            self.stream.line(&format!(
                "section_start:{}:{stage}\r{title}",
                self.clock.now_ms().div_euclid(1000)
            ));
        } else {
            self.stream.line(&title);
        }
    }

    pub(super) fn close(&self, stage: &Stage) {
        if self.sections {
            self.stream.line(&format!(
                "section_end:{}:{stage}\r{ERASE}",
                self.clock.now_ms().div_euclid(1000)
            ));
        }
    }
}
