//! `tasuki completion`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::exit::{Exit, Outcome};
use crate::print;

/// Print a completion script for a shell.
///
/// Examples:
///   tasuki completion bash > ~/.local/share/bash-completion/completions/tasuki
///   tasuki completion zsh > "${fpath[1]}/_tasuki"
///   tasuki completion fish > ~/.config/fish/completions/tasuki.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut <Cli>::command(), "tasuki", &mut script);
        print::raw(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Success)
    }
}
