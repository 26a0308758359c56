//! No input makes the compiler panic or run away: the cases, the corpus of the fuzz targets, and mutations of both.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Output, Refusal, Request, Tree, compile_with};

/// Words of the language, so that mutations reach beyond the parser.
const WORDS: &[&str] = &[
    "<<: ",
    "*a",
    "&a ",
    "!reference [",
    "$[[ inputs.",
    " ]]",
    "\n---\n",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "null",
    "\"",
    "'",
    "ä",
    "\u{feff}",
    "\u{0}",
    "|\n",
    ">-\n",
    "extends: ",
    "include: ",
    "script: ",
    "rules:\n  - if: ",
    "$A =~ /",
    "needs: [",
    "parallel:\n  matrix:\n    - A: [",
    "spec:\n  inputs:\n    x:\n---\n",
    "? ",
    "!!str ",
    "# ",
    "1:30",
    "2024-01-01",
    ".pre",
    "\r\n",
    "variables:\n  A: $B\n  B: $A\n",
    "default:\n",
    "99999999999999999999",
    "stages: ",
    "when: manual",
    "cache: ",
    "trigger: ",
    "%",
];

#[derive(Debug, Clone)]
enum Edit {
    Delete(prop::sample::Index, u8),
    Repeat(prop::sample::Index, u8),
    Word(prop::sample::Index, prop::sample::Index),
    Byte(prop::sample::Index, u8),
    Splice(prop::sample::Index, prop::sample::Index, prop::sample::Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<prop::sample::Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, n)| Edit::Delete(at, n)),
        (at(), any::<u8>()).prop_map(|(at, n)| Edit::Repeat(at, n)),
        (at(), at()).prop_map(|(at, word)| Edit::Word(at, word)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (at(), at(), at()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn mutate(text: &str, edits: &[Edit], corpus: &[String]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits {
        let size = bytes.len() + 1;
        match edit {
            Edit::Delete(at, n) => {
                let at = at.index(size);
                bytes.drain(at..(at + usize::from(*n)).min(size - 1));
            }
            Edit::Repeat(at, n) => {
                let at = at.index(size);
                let part = bytes[at..(at + usize::from(*n)).min(size - 1)].to_vec();
                bytes.splice(at..at, part);
            }
            Edit::Word(at, word) => {
                let at = at.index(size);
                bytes.splice(at..at, WORDS[word.index(WORDS.len())].bytes());
            }
            Edit::Byte(at, byte) => bytes.insert(at.index(size), *byte),
            Edit::Splice(at, other, from) => {
                let other = corpus[other.index(corpus.len())].as_bytes();
                let part = other[from.index(other.len() + 1)..].iter().take(300).copied();
                let at = at.index(size);
                bytes.splice(at..at, part);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn corpus() -> Vec<String> {
    let mut folders = vec![root().join("crates/pipeline/tests/cases"), root().join("fuzz/corpus")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("a case").path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(path).expect("a case")).into_owned();
                let sections = text.split("\n-- ").map(|part| match part.split_once(" --\n") {
                    Some((_, body)) => format!("{body}\n"),
                    None => part.to_owned(),
                });
                texts.extend(sections.filter(|text| !text.trim().is_empty()));
            }
        }
    }
    assert!(texts.len() > 50, "the corpus is gone");
    texts
}

/// Compiles a text whose includes are all the text of `other`, in both modes.
fn compile_both(text: &str, other: &str) -> [Output; 2] {
    let context = Context::default();
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text,
        context: &context,
    };
    let answer = |request: &Request| match request {
        Request::File { .. } => Answer::file(other),
        Request::Tree { .. } => Answer::Tree(
            [("a.yml", "1"), ("ci/b.yml", "2"), ("Cargo.lock", "3")]
                .into_iter()
                .collect::<Tree>()
                .into(),
        ),
        Request::Changed { compare_to: None } => Answer::Changed(Some(["a.yml".to_owned()].into())),
        Request::Changed { .. } | Request::LastCommits { .. } | Request::Orb { .. } => Answer::Refused(Refusal::BadRef),
    };
    [Mode::Create, Mode::Lint].map(|mode| compile_with(&input, mode, answer))
}

/// A place that a diagnostic names exists, and an error means that there is no plan.
fn check(text: &str, other: &str) {
    let started = Instant::now();
    for output in compile_both(text, other) {
        assert!(
            !(output.has_errors() && output.plan.is_some()),
            "a plan in spite of errors: {text}"
        );
        for d in &output.diagnostics {
            let lines = if d.file == ".gitlab-ci.yml" { text } else { other }
                .split('\n')
                .count();
            assert!(d.line as usize <= lines + 1, "{d:?} has no such line: {text}");
        }
    }
    assert!(
        started.elapsed() < Duration::from_secs(120),
        "took {:?}: {text}",
        started.elapsed()
    );
}

#[test]
fn the_corpus_does_no_harm() {
    let corpus = corpus();
    for text in &corpus {
        check(text, &corpus[0]);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a longer run is asked for from outside")]
fn mutations_do_no_harm() {
    let corpus = corpus();
    let cases = std::env::var("MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_500);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let index = any::<prop::sample::Index>;
    proptest!(config, |(first in index(), second in index(), edits in edits())| {
        let text = mutate(&corpus[first.index(corpus.len())], &edits, &corpus);
        check(&text, &corpus[second.index(corpus.len())]);
    });
}
