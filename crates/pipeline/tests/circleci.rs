//! Compiling CircleCI configurations: each file of `cases/circleci` holds cases about one subject (see [`support`]).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use support::check;
use tasuki_model::plan::Language;

macro_rules! subjects {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(Language::Circleci, concat!("circleci/", stringify!($name), ".txt"));
        }
    )*};
}

subjects! {
    steps, jobs, executors, commands, parameters, values, conditions, workflows, requires, filters, matrix, groups, orbs,
    format, unused,
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
        assert!(
            source.contains(&format!("{name},")) || source.contains(&format!("{name}\n")),
            "{name}.txt has no test"
        );
    }
}
