//! How a program ended.

use serde::{Deserialize, Serialize};

/// The end of the main process. Processes it left in the background do not delay it longer than the grace that the
/// sandbox documents; they live until the sandbox is torn down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    /// Ended by a signal that did not come from us.
    Signal(i32),
    /// The command's own time limit was reached; everything it started is gone.
    TimedOut,
    /// The stop was pulled; everything it started is gone.
    Stopped,
}

impl Exit {
    /// Whether it ended by itself with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code as shells count it: 128 + n for signal n; none where we ended it.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::TimedOut | Self::Stopped => None,
        }
    }
}
