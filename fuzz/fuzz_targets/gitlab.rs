//! Any GitLab configuration compiles or gives diagnostics, also when it includes itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, compile_with};

fuzz_target!(|text: &str| {
    let context = Context::default();
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text,
        context: &context,
    };
    for mode in [Mode::Create, Mode::Lint] {
        let output = compile_with(&input, mode, |request| match request {
            Request::File { .. } => Answer::file(text),
            Request::Tree { .. } => Answer::Tree([("a.yml", "1")].into_iter().collect::<tasuki_pipeline::Tree>().into()),
            Request::Changed { .. } => Answer::Changed(None),
            Request::LastCommits { .. } | Request::Orb { .. } => Answer::Refused(Refusal::NotFound),
        });
        assert!(!(output.has_errors() && output.plan.is_some()));
    }
});
