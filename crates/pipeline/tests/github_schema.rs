//! Workflows and actions that a public schema's tests accept or refuse, read where `TASUKI_CONFORMANCE` names the
//! folder that has them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "where the cases lie is said by the environment"
)]
#![expect(
    clippy::print_stdout,
    reason = "whoever looks wants to know what was read and what was not"
)]

use std::path::Path;

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, compile_with};

/// Files that are judged otherwise on purpose, and why.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "valid/env-with-simple-expression.yaml",
    "`env` becomes a text, which GitHub refuses when the job runs",
)];

/// What the files refer to.
fn answer(request: &Request) -> Answer {
    match request {
        Request::File { path, .. } if path == ".github/workflows/somefile.yml" => Answer::file(
            "on: {workflow_call: {secrets: {api_token: {}}}}\njobs: {a: {runs-on: linux, steps: [{run: make}]}}\n",
        ),
        _ => Answer::Refused(Refusal::NotFound),
    }
}

/// Errors of a file, but for what is good and not to be had here.
fn errors(text: &str) -> Vec<String> {
    let context = Context::default();
    let input = Input {
        lang: Language::Github,
        file: ".github/workflows/x.yml",
        text,
        context: &context,
    };
    let output = compile_with(&input, Mode::Lint, answer);
    let errors = output
        .diagnostics
        .iter()
        .filter(|d| d.is_error() && d.code != "unsupported");
    errors
        .map(|d| format!("{}:{} {}", d.line, d.column, d.message))
        .collect()
}

/// Errors of an action, used by a workflow.
fn action_errors(text: &str) -> Vec<String> {
    let context = Context::default();
    let input = Input {
        lang: Language::Github,
        file: ".github/workflows/x.yml",
        text: "on: push\njobs: {a: {runs-on: linux, steps: [{uses: ./a}]}}\n",
        context: &context,
    };
    let output = compile_with(&input, Mode::Lint, |request| match request {
        Request::File { path, .. } if path == "a/action.yml" => Answer::file(text),
        _ => Answer::Refused(Refusal::NotFound),
    });
    let errors = output
        .diagnostics
        .iter()
        .filter(|d| d.is_error() && d.code != "unsupported");
    errors
        .map(|d| format!("{}:{} {}", d.line, d.column, d.message))
        .collect()
}

fn check(folder: &str, least: usize, errors: fn(&str) -> Vec<String>, exceptions: &[(&str, &str)]) {
    let Ok(root) = std::env::var("TASUKI_CONFORMANCE") else {
        println!("SKIPPED: TASUKI_CONFORMANCE does not name the folder with the cases");
        return;
    };
    let mut faults = Vec::new();
    let mut count = 0;
    for kind in ["valid", "invalid"] {
        for entry in std::fs::read_dir(Path::new(&root).join(folder).join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{kind}/{}", path.file_name().unwrap().to_string_lossy());
            let found = errors(&std::fs::read_to_string(&path).unwrap());
            count += 1;
            let good = found.is_empty() == (kind == "valid");
            let excepted = exceptions.iter().any(|(known, _)| *known == name);
            if good == excepted {
                faults.push(format!("{name}: {found:?}, exception: {excepted}"));
            }
        }
    }
    println!("{folder}: {count} files, {} exceptions", exceptions.len());
    assert!(count >= least, "{count} files");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn workflows() {
    check("github/workflow-schema", 50, errors, EXCEPTIONS);
}

#[test]
fn actions() {
    let exceptions = [
        (
            "valid/composite-run-steps.json",
            "two steps have one id, which GitHub refuses",
        ),
        (
            "valid/javascript.json",
            "`linux` without quotes is no name of a context",
        ),
    ];
    check("github/action-schema", 5, action_errors, &exceptions);
}
