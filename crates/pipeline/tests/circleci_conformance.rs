//! The conformance data of CircleCI's schema and language server, where `TASUKI_CONFORMANCE` names its folder.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Diagnostic, FileAnswer, Input, Mode, Output, Refusal, Request, compile_with};

/// The folder with the data; without it the test says so and passes.
fn data(below: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where the data lies is the tester's to say")]
    let root = std::env::var("TASUKI_CONFORMANCE").ok();
    let folder = root.map(|root| Path::new(&root).join("circleci").join(below));
    if folder.is_none() {
        eprintln!("SKIPPED: TASUKI_CONFORMANCE is not set, so circleci/{below} is not read");
    }
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// An orb of the data's small registry: `namespace/name/version/orb.yml`.
fn orb(registry: &Path, name: &str, version: &str) -> Answer {
    match std::fs::read_to_string(registry.join(name).join(version).join("orb.yml")) {
        Ok(text) => Answer::File(FileAnswer {
            text: Arc::from(text),
            origin: None,
            path: Some(format!("{name}@{version}")),
        }),
        Err(_) => Answer::Refused(Refusal::NotFound),
    }
}

/// A file of the data; the source of an orb as an inline orb, whose elements are all checked.
fn compile(path: &Path, mode: Mode, registry: &Path) -> Output {
    let mut text = std::fs::read_to_string(path).unwrap();
    if path.file_name().is_some_and(|name| name == "orb.yml") {
        let inner: String = text.lines().map(|line| format!("    {line}\n")).collect();
        text =
            format!("version: 2.1\njobs: {{build: {{machine: true, steps: [checkout]}}}}\norbs:\n  tested:\n{inner}");
    }
    let context = Context::default();
    let input = Input {
        lang: Language::Circleci,
        file: "config.yml",
        text: &text,
        context: &context,
    };
    compile_with(&input, mode, |request| match request {
        Request::Orb { name, version } => orb(registry, name, version),
        _ => Answer::Refused(Refusal::NotFound),
    })
}

/// What a file was expected to be and is not; errors in one line each.
fn verdicts(
    root: &Path,
    registry: &Path,
    good: impl Fn(&str) -> bool,
    counts: impl Fn(&Diagnostic) -> bool,
    exceptions: &[(&str, &str)],
) {
    let mut faults = Vec::new();
    let mut used = Vec::new();
    let all = files(root);
    assert!(!all.is_empty(), "{} is empty", root.display());
    for path in &all {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let output = compile(path, Mode::Lint, registry);
        let errors: Vec<String> = output
            .diagnostics
            .iter()
            .filter(|d| d.is_error() && counts(d))
            .map(|d| format!("{}:{} {} {}", d.line, d.column, d.code, d.message))
            .collect();
        let right = errors.is_empty() == good(&name);
        let exception = exceptions.iter().find(|(file, _)| *file == name);
        match (right, exception) {
            (true, None) => {}
            (false, Some(_)) => used.push(name),
            (true, Some((_, reason))) => faults.push(format!("{name} is no exception any more: {reason}")),
            (false, None) => faults.push(format!("{name}: {}", errors.join("\n      "))),
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n  {}",
        faults.len(),
        all.len(),
        faults.join("\n  ")
    );
    assert_eq!(used.len(), exceptions.len(), "every exception names a file");
}

#[test]
fn the_schema_and_the_compiler_agree() {
    let Some(root) = data("schema") else { return };
    let registry = root.join("../language-server/orb-registry");
    // A schema does not know what is defined, nor which orbs there are.
    let counts = |d: &Diagnostic| {
        let beyond = ["circleci-undefined", "circleci-orb", "circleci-interpolation"];
        !beyond.contains(&d.code) && !d.message.starts_with("there are no workflows")
    };
    verdicts(&root, &registry, |name| name.starts_with("valid"), counts, SCHEMA);
}

#[test]
fn the_language_server_and_the_compiler_agree() {
    let Some(root) = data("language-server") else { return };
    let registry = root.join("orb-registry");
    let good = |name: &str| !LANGUAGE_SERVER_BAD.contains(&name);
    verdicts(&root, &registry, good, |_| true, LANGUAGE_SERVER);
}

/// Files whose verdict differs from the data's, and why.
const SCHEMA: &[(&str, &str)] = &[
    (
        "valid/chromeless.json",
        "it calls a command with `gcloud-service-key`, which is declared as `gcloud_service_key`",
    ),
    ("valid/contexts.json", "one of its entries is two jobs"),
    ("valid/executors.json", "it has a `run` without a command"),
    ("valid/parallelism.json", "it has `run` steps without a command"),
    ("valid/logical-matches.json", "its workflow has no jobs"),
    ("valid/workflows.json", "one of its workflows has no jobs"),
];

/// Files of the language server's tests that are there to be refused.
const LANGUAGE_SERVER_BAD: &[&str] = &[
    // The orb is not in the registry, and the executor has no name.
    "circle-13337-executors/build.yml",
    // A list as a condition.
    "executor/invalid_condition/build.yml",
    "orb-registry/circleci/android_usage_example_invalid_yaml/0.0.0/orb.yml",
    "pipeline_parameters/additional_properties_invalid/build.yml",
    "renames_requires/invalid.yml",
    // An orb that is not in the registry, a misspelt parameter, a job that is not there.
    "simple-cases/config2.yml",
    // An orb that is used and not declared.
    "workflows_missing/build.yml",
];

const LANGUAGE_SERVER: &[(&str, &str)] = &[];
