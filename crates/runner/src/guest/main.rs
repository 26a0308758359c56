//! `tasuki guest`.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use super::{Context, Request, serve};
use crate::process::{self, Stop};

/// The hidden subcommand. `arguments` are those after `guest`: nothing (one request on standard input), or
/// `supervise`, `terminal` (see [`crate::process`]), `inside`, `session`, `carry`, `hold`, `forward`, `install`, `receive` (see [`super::inside`]). Call it before anything else in `main`: it needs no runtime, no logger and
/// no configuration, and every task pays for what happens before it.
#[must_use]
pub fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    match arguments.next().as_deref() {
        Some("supervise") => process::supervise(),
        Some("terminal") => process::lead(arguments),
        Some("inside") => super::inside::work(),
        Some("hold") => super::inside::hold(arguments),
        Some("forward") => super::inside::forward(arguments),
        Some("session") => super::inside::session(arguments),
        Some("carry") => super::inside::carry(arguments),
        Some("receive") => super::inside::receive(arguments),
        Some("install") => super::inside::install(arguments),
        None => answer().unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "ERROR: the guest's request is unusable: {error}");
            ExitCode::from(2)
        }),
        Some(_) => ExitCode::from(2),
    }
}

/// Being stopped is being killed: the sandbox ends the process, and what it started.
fn answer() -> io::Result<ExitCode> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let request: Request = serde_json::from_slice(&text)?;
    let context = Context::new(std::env::vars().collect(), Stop::new(), |text| {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    });
    let response = serve(request, &context);
    serde_json::to_writer(io::stdout().lock(), &response)?;
    Ok(ExitCode::from(u8::try_from(response.exit_code()).unwrap_or(3)))
}
