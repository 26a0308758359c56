//! What people write wrongly in YAML: each file of `cases/yaml` is a text, a line `-- found --`, and what is said of it as
//! people see it. Places are exact: the line, the column and the length of what is to be changed.
//!
//! `UPDATE_CASES=1 cargo test` writes the found results into the files; look at the difference before committing.

use std::path::Path;

use tasuki_model::plan::Language;
use tasuki_pipeline::diag::{Colour, Excerpts, human};
use tasuki_pipeline::{Answer, Context, Diagnostic, Input, Mode, Refusal, compile_with};

const FOUND: &str = "-- found --\n";

struct Text<'t>(&'t str);

impl Excerpts for Text<'_> {
    fn line(&self, _: &str, line: u32) -> Option<&str> {
        self.0.lines().nth(line as usize - 1)
    }
}

/// What the reader of YAML says of a text, as a file of each language.
fn found(text: &str) -> Vec<Diagnostic> {
    let context = Context::default();
    let of = |(lang, file): (Language, &str)| {
        let input = Input {
            lang,
            file,
            text,
            context: &context,
        };
        let output = compile_with(&input, Mode::Lint, |_| Answer::Refused(Refusal::NotFound));
        let ours = output.diagnostics.into_iter().filter(|d| d.code.starts_with("yaml-"));
        ours.map(|found| Diagnostic {
            file: "file.yml".to_owned(),
            ..found
        })
        .collect::<Vec<_>>()
    };
    let [gitlab, circleci, github] = [
        (Language::Gitlab, ".gitlab-ci.yml"),
        (Language::Circleci, ".circleci/config.yml"),
        (Language::Github, ".github/workflows/ci.yml"),
    ]
    .map(of);
    let errors = |all: &[Diagnostic]| all.iter().filter(|d| d.is_error()).cloned().collect::<Vec<_>>();
    assert_eq!(errors(&gitlab), errors(&circleci), "{text}");
    assert_eq!(errors(&gitlab), errors(&github), "{text}");
    gitlab
}

/// Every mistake is told with its place and a remedy, in every language alike.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people who change the cases")]
fn each_mistake_has_its_place_and_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/yaml");
    let update = std::env::var("UPDATE_CASES").is_ok();
    let mut wrong = String::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case = std::fs::read_to_string(&path).unwrap();
        let (text, expected) = case.split_once(FOUND).unwrap_or((&case, ""));
        let all = found(text);
        if all.is_empty() {
            wrong += &format!("{}: nothing is found\n", path.display());
        }
        for one in &all {
            if one.is_error() && one.hint.is_none() {
                wrong += &format!("{}: no remedy for {}\n", path.display(), one.message);
            }
            let line = text.lines().nth(one.line as usize - 1).unwrap_or_default();
            let end = one.column as usize - 1 + usize::from(one.length);
            if end > line.chars().count().max(1) {
                wrong += &format!("{}: {one:?} lies beside the line\n", path.display());
            }
        }
        let shown: String = all.iter().map(|d| human(d, &Text(text), Colour::Never)).collect();
        if update {
            std::fs::write(&path, format!("{text}{FOUND}{shown}")).unwrap();
        } else if shown != expected {
            wrong += &format!("{}\nexpected\n{expected}\nfound\n{shown}\n", path.display());
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 50, "{count} cases");
}
