//! Compiling CircleCI configurations: each file of `cases/circleci` holds cases about one subject (see [`support`]).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use support::{World, check};
use tasuki_model::plan::Language;

macro_rules! subjects {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            check(Language::Circleci, concat!("circleci/", stringify!($name), ".txt"));
        }
    )*};
}

subjects! {
    steps, executors, commands, parameters, values, conditions, workflows, requires, filters, matrix, groups, orbs, format,
    unused, real,
}

/// Covers: CM-RC-05
#[test]
fn jobs() {
    check(Language::Circleci, "circleci/jobs.txt");
}

/// Every subject's file has a test.
#[test]
fn no_case_is_forgotten() {
    let source = include_str!("circleci.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/circleci");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let tested = [format!(" {name},"), format!("/{name}.txt")];
        assert!(tested.iter().any(|t| source.contains(t)), "{name}.txt has no test");
    }
}

/// Whatever is cut out of a good file or put into it: there is a plan, or a reason, and never a panic.
#[test]
fn mutated_files_get_a_plan_or_a_reason() {
    let values = [
        "",
        "~",
        "3",
        "on",
        "[]",
        "{}",
        "[[a]]",
        "{a: b}",
        "<< parameters.x >>",
        "'<<'",
        "-1",
        "!!map x",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/circleci");
    let mut plans = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let cases = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in cases.split("\n=== ").skip(1) {
            let body = case.split("\n>>>").next().unwrap_or_default();
            let lines: Vec<&str> = body.lines().skip(1).filter(|line| !line.starts_with('@')).collect();
            for at in 0..lines.len() {
                let mut without = lines.clone();
                without.remove(at);
                let mut texts = vec![without.join("\n")];
                if let Some((key, _)) = lines[at].split_once(": ") {
                    let line = format!("{key}: {}", values[at % values.len()]);
                    let mut replaced = lines.clone();
                    replaced[at] = &line;
                    texts.push(replaced.join("\n"));
                }
                for text in texts {
                    let output = World::new(Language::Circleci).compile(&text);
                    let reasons = output.has_errors() || output.skipped.is_some();
                    assert!(output.plan.is_some() != reasons, "neither or both:\n{text}");
                    plans += usize::from(output.plan.is_some());
                }
            }
        }
    }
    assert!(plans > 50, "{plans}");
}

/// Orbs and commands that use themselves, and steps that multiply, end.
#[test]
fn what_a_small_file_can_grow_to_is_bounded() {
    let refused = |name: &str, text: String, code: &str| {
        let output = World::new(Language::Circleci).compile(&text);
        let codes: Vec<&str> = output.diagnostics.iter().map(|d| d.code).collect();
        assert!(output.plan.is_none() && codes.contains(&code), "{name}: {codes:?}");
    };
    let body = |count: usize, step: &str| std::iter::repeat_n(step, count).collect::<Vec<_>>().join(", ");
    let commands: String = (0..8)
        .map(|n| format!("  c{n}: {{steps: [{}]}}\n", body(20, &format!("c{}", n + 1))))
        .collect();
    let text = format!(
        "version: 2.1\ncommands:\n{commands}  c8: {{steps: [checkout]}}\njobs: {{build: {{machine: true, steps: [c0]}}}}\n"
    );
    refused("commands", text, "circleci-too-many");
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let values = values.join(", ");
    let matrix = format!(
        "version: 2.1\njobs: {{a: {{parameters: {{x: {{type: integer}}, y: {{type: integer}}}}, machine: true, steps: [checkout]}}}}\n\
         workflows: {{main: {{jobs: [a: {{matrix: {{parameters: {{x: [{values}], y: [{values}]}}}}}}]}}}}\n"
    );
    refused("matrix", matrix, "circleci-matrix");
    let deep = format!(
        "version: 2.1\njobs: {{build: {{machine: true, steps: [checkout]}}}}\nworkflows: {{main: {{when: '{}true{}', jobs: [build]}}}}\n",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    refused("parentheses", deep, "circleci-condition");
}
