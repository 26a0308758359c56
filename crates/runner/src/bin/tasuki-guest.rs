//! The guest and the supervisor alone, without server and commands: what tests start, and what small images hold.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("guest") => tasuki_runner::guest::main(arguments),
        _ => ExitCode::from(2),
    }
}
