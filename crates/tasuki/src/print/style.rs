//! Colours, where the terminal shows them and the user wants them.

use std::io::IsTerminal as _;

use tasuki_proto::rest::Status;

/// Whether colour codes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Colour,
}

impl Style {
    /// For standard output: `NO_COLOR` forbids, `CLICOLOR_FORCE` demands, otherwise a terminal decides.
    pub(crate) fn stdout() -> Self {
        Self::decide(std::io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self::decide(std::io::stderr().is_terminal())
    }

    fn decide(terminal: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Self::Plain
        } else if set("CLICOLOR_FORCE") || (terminal && !dumb) {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A status in its colour. The word says it all without the colour.
    pub(crate) fn status(self, status: Status) -> String {
        let code = match status {
            Status::Success => "32",
            Status::Failed | Status::Error => "31",
            Status::Running | Status::Canceling => "36",
            Status::Pending | Status::Manual | Status::Scheduled | Status::WaitingForResource => "33",
            Status::Created | Status::Canceled | Status::Skipped => "2",
        };
        self.paint(code, status.as_str())
    }
}
