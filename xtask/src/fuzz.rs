//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/` for a while each.

use anyhow::{Context as _, bail};

use crate::{program, workspace};

/// What one input may take, at most: a limit of the compiler that lets more through is a finding.
const SECONDS_OF_AN_INPUT: u32 = 60;
const MEGABYTES: u32 = 2_048;
/// Bytes of the longest input that is tried.
const LONGEST: u32 = 16_384;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to run (a name in fuzz/fuzz_targets); all when none is named.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: u32,
}

#[expect(clippy::print_stderr, reason = "whoever waits wants to know what for")]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; these are: {}", known.join(", "));
    }
    if !program::exists("cargo-fuzz") {
        eprintln!("cargo-fuzz is not installed: installing it with `cargo install cargo-fuzz`");
        program::run("cargo", &["install", "cargo-fuzz", "--locked"])?;
    }
    let chosen = if args.targets.is_empty() { &known } else { &args.targets };
    let root = workspace::root();
    for target in chosen {
        // What the fuzzer finds goes to the first folder, which git does not keep; the corpus of the repository is read.
        let found = format!("fuzz/found/{target}");
        std::fs::create_dir_all(root.join(&found)).with_context(|| format!("cannot make {found}"))?;
        let corpus = format!("fuzz/corpus/{target}");
        let limits = [
            format!("-max_total_time={}", u64::from(args.minutes) * 60),
            format!("-timeout={SECONDS_OF_AN_INPUT}"),
            format!("-rss_limit_mb={MEGABYTES}"),
            format!("-max_len={LONGEST}"),
            "-print_final_stats=1".to_owned(),
        ];
        let mut all = vec![
            "+nightly",
            "fuzz",
            "run",
            target.as_str(),
            found.as_str(),
            corpus.as_str(),
            "--",
        ];
        all.extend(limits.iter().map(String::as_str));
        program::run_in(&root, "cargo", &all, &[])
            .with_context(|| format!("{target}: the input that did it is in fuzz/artifacts/{target}"))?;
    }
    Ok(())
}

/// Names of the targets, sorted.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
