//! `runner lint`

use super::args::LintArgs;
use super::{Context, Error, Result};

/// Prints everything that is wrong with the configuration; runs nothing and writes nothing.
pub(super) fn lint(args: &LintArgs, context: &mut Context) -> Result<()> {
    let given = args.file.as_deref().or(args.config.config.as_deref());
    let path = context.config_path(given);
    let text = std::fs::read_to_string(&path).map_err(|source| crate::config::Error::Read {
        path: path.clone(),
        source,
    })?;
    let problems = crate::config::lint(&text, &context.environment);
    if args.json {
        let file = path.display().to_string();
        let with_file: Vec<_> = problems.iter().map(|problem| Found { file: &file, problem }).collect();
        let json = serde_json::to_string_pretty(&with_file).map_err(|error| Error::Output(error.into()))?;
        context.say(&json)?;
    } else {
        for problem in &problems {
            context.say(&format!("{}:{problem}", path.display()))?;
        }
        if problems.is_empty() {
            context.say(&format!("{}: no problems", path.display()))?;
        }
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(Error::Problems { path, count }),
    }
}

/// A problem as `--json` prints it.
#[derive(serde::Serialize)]
struct Found<'a> {
    file: &'a str,
    #[serde(flatten)]
    problem: &'a crate::config::Problem,
}
