//! `cargo xtask codegen`: the references in `docs/reference` are printed by the program itself.

use anyhow::{Context as _, bail};

use crate::program;
use crate::workspace::root;

/// Page → what `tasuki reference` is asked for.
const PAGES: &[(&str, &str)] = &[
    ("docs/reference/cli.md", "cli"),
    ("docs/reference/configuration.md", "configuration"),
    ("docs/reference/api.md", "api"),
    ("docs/reference/errors.md", "errors"),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a page differs from what would be written.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (page, topic) in PAGES {
        // As the README starts it: what does not start like that fails here.
        let text = program::output("cargo", &["run", "--quiet", "--", "reference", topic])?;
        let path = root().join(page);
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        if present == text {
            continue;
        }
        if args.check {
            stale.push(*page);
        } else {
            std::fs::create_dir_all(path.parent().context("pages lie in a folder")?)?;
            std::fs::write(&path, text).with_context(|| format!("cannot write {page}"))?;
        }
    }
    if !stale.is_empty() {
        bail!("out of date: {}; run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}
