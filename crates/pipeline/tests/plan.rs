//! Compiling GitLab configurations: each file of `cases/gitlab/plan` holds cases about one subject (see [`support`]).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use support::{World, check};
use tasuki_model::plan::Language;

macro_rules! subjects {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(Language::Gitlab, concat!("gitlab/plan/", stringify!($name), ".txt"));
        }
    )*};
}

subjects! {
    traps, keywords, rules, needs, parallel, variables, environments, workflow, policies, limits, bridges, steps,
}

/// Every subject's file has a test.
#[test]
fn no_case_is_forgotten() {
    let source = include_str!("plan.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/gitlab/plan");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(source.contains(&format!(" {name},")), "{name}.txt has no test");
    }
}

/// Realistic files of many kinds of projects compile for every kind of event without a word.
#[test]
fn the_corpus_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} files", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut plans = 0;
        for settings in [
            "",
            "tag v1.2.3",
            "merge-request feature",
            "event schedule",
            "event web",
            "lint",
            "branch a/b",
        ] {
            let mut world = World::new(Language::Gitlab);
            world.set("files Dockerfile Gemfile.lock Cargo.lock package-lock.json");
            world.set("changed packages/api/x.ts docs/index.md src/a.py");
            if !settings.is_empty() {
                world.set(settings);
            }
            let output = world.compile(&text);
            assert!(
                output.diagnostics.is_empty(),
                "{path:?} ({settings}): {:#?}",
                output.diagnostics
            );
            if let Some(plan) = &output.plan {
                plans += 1;
                let json = serde_json::to_string(plan).unwrap();
                let again: tasuki_model::plan::Plan = serde_json::from_str(&json).unwrap();
                assert_eq!(again, *plan, "{path:?} ({settings})");
            }
        }
        assert!(plans > 0, "{path:?} never makes a pipeline");
    }
}

/// Whatever is cut out of a good file or put into it: there is a plan, or a reason, and never a panic.
#[test]
fn mutated_files_get_a_plan_or_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let values = [
        "",
        "~",
        "3",
        "on",
        "[]",
        "{}",
        "[[a]]",
        "{a: b}",
        "$X",
        "'%'",
        "!reference [a]",
        "-1",
        "1.5",
    ];
    let mut plans = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..lines.len() {
            let mut without = lines.clone();
            without.remove(at);
            let mut texts = vec![without.join("\n")];
            if let Some((key, _)) = lines[at].split_once(": ") {
                let value = values[at % values.len()];
                let mut replaced = lines.clone();
                let line = format!("{key}: {value}");
                replaced[at] = &line;
                texts.push(replaced.join("\n"));
            }
            for text in texts {
                let output = World::new(Language::Gitlab).compile(&text);
                let reasons = output.has_errors() || output.skipped.is_some();
                assert!(output.plan.is_some() != reasons, "neither or both:\n{text}");
                plans += usize::from(output.plan.is_some());
            }
        }
    }
    assert!(plans > 100, "{plans}");
}
