//! `cargo xtask tidy`: house rules that the compiler does not know.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use crate::workspace::{File, files};

/// A file longer than this must be split.
const MOST_LINES: usize = 1000;

/// A `mod.rs` declares and documents its room, and holds no more functions than this. The type that a room is about,
/// with private parts in files of their own, is `room.rs` beside the folder `room/`.
const MOST_FUNCTIONS_OF_A_DOOR: usize = 3;

/// Which crate may use which (docs/ARCHITECTURE.md, "Crates"): arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("tasuki-model", &[]),
    ("tasuki-rt", &[]),
    ("tasuki-pipeline", &["tasuki-model"]),
    ("tasuki-proto", &["tasuki-model"]),
    ("tasuki-store", &["tasuki-model"]),
    (
        "tasuki-server",
        &[
            "tasuki-model",
            "tasuki-rt",
            "tasuki-pipeline",
            "tasuki-proto",
            "tasuki-store",
        ],
    ),
    ("tasuki-runner", &["tasuki-model", "tasuki-rt", "tasuki-proto"]),
    (
        "tasuki-testkit",
        &[
            "tasuki-model",
            "tasuki-rt",
            "tasuki-pipeline",
            "tasuki-proto",
            "tasuki-store",
            "tasuki-server",
            "tasuki-runner",
        ],
    ),
    (
        "tasuki",
        &[
            "tasuki-model",
            "tasuki-rt",
            "tasuki-pipeline",
            "tasuki-proto",
            "tasuki-store",
            "tasuki-server",
            "tasuki-runner",
            "tasuki-testkit",
        ],
    ),
    ("xtask", &[]),
];

/// Names that say nothing about what may be put there.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helpers", "helper", "manager", "misc"];

/// One stack of each kind: crates that would bring a second one.
const REFUSED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("aws-lc-sys", "rustls uses ring"),
    ("chrono", "the time crate is jiff"),
    ("time", "the time crate is jiff"),
    ("serde_yaml", "deprecated; YAML is read by pipeline::yaml"),
    ("ureq", "the HTTP client is reqwest"),
    ("isahc", "the HTTP client is reqwest"),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let all = files(&[])?;
    let mut faults = Vec::new();
    for file in &all {
        check_file(file, &mut faults);
    }
    check_arrows(&mut faults)?;
    check_lock(&all, &mut faults)?;
    check_links(&all, &mut faults);
    if !faults.is_empty() {
        bail!("tidy found {} fault(s):\n{}", faults.len(), faults.join("\n"));
    }
    Ok(())
}

fn check_file(file: &File, faults: &mut Vec<String>) {
    let path = &file.path;
    let lines = file.text.lines().count();
    let is_rust = path.ends_with(".rs");
    if is_rust && lines > MOST_LINES {
        faults.push(format!(
            "{path}: {lines} lines; {MOST_LINES} are the most: split it by what it does"
        ));
    }
    if is_rust && let Some(stem) = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")) {
        let folder = path.rsplit('/').nth(1).unwrap_or_default();
        for name in [stem, folder] {
            if EMPTY_NAMES.contains(&name) {
                faults.push(format!("{path}: `{name}` says nothing; name what is in it"));
            }
        }
        let functions = file.text.lines().filter(|line| is_function(line.trim_start())).count();
        if stem == "lib" && functions > 0 {
            faults.push(format!(
                "{path}: only declares and documents; move its functions to named files"
            ));
        }
        if stem == "mod" && functions > MOST_FUNCTIONS_OF_A_DOOR {
            faults.push(format!(
                "{path}: a room's door holds {functions} functions; move them to named files"
            ));
        }
    }
    if is_rust && !path.starts_with("xtask/") {
        for (at, line) in file.text.lines().enumerate() {
            // Put together at run time, so that this file does not find itself.
            let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!(
                    "{path}:{}: behaviour is written, or its absence is documented; no reminders",
                    at + 1
                ));
            }
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') && (is_rust || path.ends_with(".md")) {
        faults.push(format!("{path}: no line feed at the end"));
    }
}

/// Whether the line begins a function.
fn is_function(line: &str) -> bool {
    const BEFORE: &[&str] = &["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe "];
    let mut rest = line;
    while let Some(next) = BEFORE.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = next;
    }
    rest.starts_with("fn ")
}

fn check_arrows(faults: &mut Vec<String>) -> anyhow::Result<()> {
    let text = crate::program::output(
        "cargo",
        &["metadata", "--format-version", "1", "--no-deps", "--offline"],
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            faults.push(format!("crate {name} has no place in the arrows of xtask/src/tidy.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let dev = dependency["kind"].as_str() == Some("dev");
            if !dev && on.starts_with("tasuki") && !may.contains(&on) {
                faults.push(format!("crate {name} may not use {on}: arrows point down only"));
            }
        }
    }
    Ok(())
}

fn check_lock(all: &[File], faults: &mut Vec<String>) -> anyhow::Result<()> {
    let lock = all
        .iter()
        .find(|file| file.path == "Cargo.lock")
        .context("Cargo.lock is not committed")?;
    for (name, why) in REFUSED {
        if lock.text.lines().any(|line| line == format!("name = \"{name}\"")) {
            faults.push(format!("Cargo.lock: {name} is refused: {why}"));
        }
    }
    for line in lock.text.lines().filter(|line| line.starts_with("source = ")) {
        if !line.contains("registry+https://github.com/rust-lang/crates.io-index") {
            faults.push(format!("Cargo.lock: {line} is not crates.io"));
        }
    }
    Ok(())
}

/// Links between the pages of the docs lead somewhere.
fn check_links(all: &[File], faults: &mut Vec<String>) {
    for file in all.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = crate::workspace::root()
            .join(&file.path)
            .parent()
            .map(std::path::Path::to_path_buf)
            .unwrap_or_default();
        for (at, line) in file.text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or(link);
                let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !folder.join(target).exists() {
                    faults.push(format!("{}:{}: the link {link} leads nowhere", file.path, at + 1));
                }
            }
        }
    }
}
