//! `tasuki guest`.

use std::process::ExitCode;

use crate::process;

/// The hidden subcommand. `arguments` are those after `guest`: nothing (one request on standard input), or
/// `supervise` (see [`crate::process`]). Call it before anything else in `main`: it needs no runtime, no logger and
/// no configuration, and every task pays for what happens before it.
#[must_use]
pub fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    match arguments.next().as_deref() {
        Some("supervise") => process::supervise(),
        _ => ExitCode::from(2),
    }
}
