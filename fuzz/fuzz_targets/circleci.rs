//! Any CircleCI configuration compiles or gives diagnostics, also when it is its own orb.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, compile_with};

fuzz_target!(|text: &str| {
    let context = Context::default();
    let input = Input {
        lang: Language::Circleci,
        file: ".circleci/config.yml",
        text,
        context: &context,
    };
    for mode in [Mode::Create, Mode::Lint] {
        let output = compile_with(&input, mode, |request| match request {
            Request::Orb { .. } => Answer::file(text),
            _ => Answer::Refused(Refusal::NotFound),
        });
        assert!(!(output.has_errors() && output.plan.is_some()));
    }
});
