//! The configurations that `tasuki bench compile` measures are good, and have the 10,000 jobs that it speaks of.

#[path = "../../tasuki/src/cmd/bench/configs.rs"]
mod configs;

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, Tree, compile_with};

fn check(lang: Language, file: &str, files: &[(String, String)]) {
    let context = Context::default();
    let input = Input {
        lang,
        file,
        text: &files[0].1,
        context: &context,
    };
    let output = compile_with(&input, Mode::Create, |request| match request {
        Request::Tree { .. } => Answer::Tree(
            files
                .iter()
                .map(|(path, _)| (path.as_str(), "1"))
                .collect::<Tree>()
                .into(),
        ),
        Request::File { path, .. } => {
            let (_, text) = files
                .iter()
                .find(|(known, _)| known == path)
                .expect("a file that is there");
            Answer::file(text.as_str())
        }
        _ => Answer::Refused(Refusal::NotFound),
    });
    let plan = output
        .plan
        .unwrap_or_else(|| panic!("{:?}", output.diagnostics.first()));
    let jobs: usize = plan.workflows.iter().map(|workflow| workflow.jobs.len()).sum();
    assert_eq!(jobs, 10_000, "{file}");
}

#[test]
fn circleci_has_ten_thousand_jobs() {
    let text = configs::circleci().expect("a configuration");
    check(
        Language::Circleci,
        ".circleci/config.yml",
        &[(".circleci/config.yml".to_owned(), text)],
    );
}

#[test]
fn github_has_ten_thousand_jobs() {
    check(
        Language::Github,
        ".github/workflows",
        &configs::github().expect("workflows"),
    );
}
