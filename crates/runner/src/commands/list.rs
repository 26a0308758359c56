//! `runner list`

use super::args::ListArgs;
use super::{Context, Result};

/// Prints the runners. Tokens are shown short.
pub(super) fn list(args: &ListArgs, context: &mut Context) -> Result<()> {
    let file = context.load(args.config.config.as_deref())?;
    let config = file.config(&context.environment)?;
    context.say(&format!(
        "Listing configured runners ConfigFile={}",
        file.path().display()
    ))?;
    for runner in &config.runners {
        let name = if runner.name.is_empty() {
            "(no name)"
        } else {
            &runner.name
        };
        context.say(&format!(
            "{name:50} Executor={} Token={} URL={}",
            runner.executor,
            runner.short_token(),
            runner.url
        ))?;
    }
    Ok(())
}
