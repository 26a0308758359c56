//! Submodules of a checkout.

use super::git::Git;
use crate::guest::error::Result;
use crate::guest::{Checkout, Context, SubmoduleStrategy};

/// Brings the submodules to what the commit says.
pub(super) fn update(request: &Checkout, git: &Git<'_>, context: &Context) -> Result<()> {
    let settings = &request.submodules;
    let recursive = match settings.strategy {
        SubmoduleStrategy::None => {
            context.say("Skipping Git submodules setup");
            return Ok(());
        }
        SubmoduleStrategy::Normal => false,
        SubmoduleStrategy::Recursive => true,
    };
    if !request.project.join(".gitmodules").exists() {
        return Ok(());
    }
    let what = if recursive {
        "Updating/initializing submodules recursively"
    } else {
        "Updating/initializing submodules"
    };
    match settings.depth {
        0 => context.say(&format!("{what}...")),
        depth => context.say(&format!("{what} with git depth set to {depth}...")),
    }
    let recurse: &[&str] = if recursive { &["--recursive"] } else { &[] };
    let paths: Vec<&str> = settings.paths.iter().map(String::as_str).collect();
    let command = |parts: &[&[&str]]| -> Vec<String> {
        parts
            .iter()
            .flat_map(|part| part.iter().map(|&word| word.to_owned()))
            .collect()
    };
    let run = |what: &str, args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        git.must(what, &args)
    };
    run(
        "setting up submodules",
        command(&[&["submodule", "init", "--"], &paths]),
    )?;
    run(
        "setting up submodules",
        command(&[&["submodule", "sync"], recurse, &["--"], &paths]),
    )?;
    let depth = format!("--depth={}", settings.depth);
    let depth: &[&str] = if settings.depth > 0 { &[&depth] } else { &[] };
    let flags: Vec<&str> = settings.update_flags.iter().map(String::as_str).collect();
    let update = command(&[
        &["submodule", "update", "--init", "--force"],
        recurse,
        depth,
        &flags,
        &["--"],
        &paths,
    ]);
    run("updating submodules", update)?;
    if let Some(clean) = &request.clean_flags {
        let clean = format!(
            "git clean {}",
            clean.iter().map(|flag| quote(flag)).collect::<Vec<_>>().join(" ")
        );
        run(
            "cleaning submodules",
            command(&[&["submodule", "foreach", "--quiet"], recurse, &[&clean]]),
        )?;
    }
    if request.lfs && git.can(&["lfs", "version"]) {
        let pull = "if grep -qs filter=lfs .gitattributes; then git lfs install --local --skip-smudge >/dev/null && git lfs pull; fi";
        run(
            "fetching LFS objects of submodules",
            command(&[&["submodule", "foreach", "--quiet"], recurse, &[pull]]),
        )?;
    }
    Ok(())
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
