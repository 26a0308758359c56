//! `[skip ci]` in the commit message.

use tasuki_model::trigger::{Source, Trigger};

/// Whether the commit message asks for no pipeline. Only pushes and merge requests listen to it; who starts a pipeline
/// by hand, by API, by schedule or from another pipeline means it. It is tested before the configuration is read.
pub(crate) fn is_requested(trigger: &Trigger) -> bool {
    let listens = match trigger.source {
        Source::Push | Source::MergeRequestEvent | Source::ExternalPullRequestEvent | Source::External => true,
        Source::Web
        | Source::Trigger
        | Source::Schedule
        | Source::Api
        | Source::Pipeline
        | Source::ParentPipeline
        | Source::Chat
        | Source::Webide => false,
    };
    listens && has_skip_words(&trigger.commit.message)
}

/// `[skip ci]`, `[ci skip]`, with a space, `-` or `_` between, in any case, anywhere.
fn has_skip_words(message: &str) -> bool {
    let message = message.to_lowercase();
    message.match_indices('[').any(|(at, _)| {
        let inner = &message[at + 1..];
        [("skip", "ci]"), ("ci", "skip]")].iter().any(|(first, second)| {
            inner
                .strip_prefix(first)
                .and_then(|rest| rest.strip_prefix([' ', '-', '_']))
                .is_some_and(|rest| rest.starts_with(second))
        })
    })
}
