//! Names made fit for host names and paths.

pub use tasuki_model::environment::{guess_tier, slug as environment_slug};

/// Longest host name label.
const MAX: usize = 63;

/// Lower case, everything but `[a-z0-9]` to `-`, first 63 characters, no `-` at the ends
/// (`CI_COMMIT_REF_SLUG`, `CI_PROJECT_PATH_SLUG`, `CI_JOB_NAME_SLUG`).
#[must_use]
pub fn slug(text: &str) -> String {
    let all: String = text.to_lowercase().chars().map(dashed).take(MAX).collect();
    all.trim_matches('-').to_owned()
}

fn dashed(c: char) -> char {
    if c.is_ascii_lowercase() || c.is_ascii_digit() {
        c
    } else {
        '-'
    }
}

/// The name that parallel siblings share: up to three trailing `[…]`, `1/3`, `1 3` parts are cut
/// (`CI_JOB_GROUP_NAME`).
#[must_use]
pub fn group_name(job: &str) -> &str {
    let mut name = job;
    for _ in 0..3 {
        match cut_group_part(name) {
            Some(shorter) => name = shorter,
            None => break,
        }
    }
    name
}

/// Cuts one `([\s:]+)(\[.*\]|\d+[\s:/\\]+\d+)` at the end.
fn cut_group_part(name: &str) -> Option<&str> {
    let separated = |text: &str| text.is_empty() || text.ends_with(|c: char| c.is_whitespace() || c == ':');
    let trimmed = name.trim_end();
    let before = if trimmed.ends_with(']') {
        let open = trimmed
            .match_indices('[')
            .map(|(at, _)| at)
            .find(|at| *at > 0 && separated(&trimmed[..*at]))?;
        &trimmed[..open]
    } else {
        let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let total = digits(trimmed);
        let middle = trimmed[..total]
            .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '/' | '\\'))
            .len();
        let index = digits(&trimmed[..middle]);
        if total == trimmed.len() || middle == total || index == middle {
            return None;
        }
        &trimmed[..index]
    };
    let shorter = before.trim_end_matches(|c: char| c.is_whitespace() || c == ':');
    (shorter.len() < before.len() && !shorter.is_empty()).then_some(shorter)
}
