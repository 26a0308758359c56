//! The binary: commands, configuration files, wiring of the roles.
//!
//! | Room | What may go there |
//! |---|---|
//! | `cmd` | one file per command; its doc comment is the help |
//! | `role` | what runs for long: server, runner, the runtimes and the log |
//! | `config` | where data lies, how the server is found, the environment |
//! | `print` | everything that is written for people |

mod cmd;
mod config;
mod exit;
mod print;
mod role;

use std::process::ExitCode;

/// Halves the time of what makes many small values (a compiled configuration, an answer of the API) against glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The guest is started for every step of every job: it goes past everything that only people need.
    if arguments.next().is_some_and(|first| first == "guest") {
        return tasuki_runner::guest::main(arguments.filter_map(|argument| argument.into_string().ok()));
    }
    cmd::main()
}
