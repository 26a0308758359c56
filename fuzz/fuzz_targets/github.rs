//! Any GitHub workflow compiles or gives diagnostics, also when it calls itself and is its own action.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, compile_with};

fuzz_target!(|text: &str| {
    let context = Context::default();
    for (file, mode) in [
        (".github/workflows/a.yml", Mode::Create),
        (".github/workflows/a.yml", Mode::Lint),
        (".github/workflows", Mode::Create),
    ] {
        let input = Input {
            lang: Language::Github,
            file,
            text,
            context: &context,
        };
        let output = compile_with(&input, mode, |request| match request {
            Request::File { .. } => Answer::file(text),
            Request::Tree { .. } => Answer::Tree(
                [(".github/workflows/a.yml", "1")]
                    .into_iter()
                    .collect::<tasuki_pipeline::Tree>()
                    .into(),
            ),
            Request::Changed { .. } => Answer::Changed(None),
            Request::LastCommits { .. } | Request::Orb { .. } => Answer::Refused(Refusal::NotFound),
        });
        assert!(!(output.has_errors() && output.plan.is_some()));
    }
});
