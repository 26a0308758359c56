//! What a commit's message says, and how much of it is kept.

/// GitLab shows and exports no more of a message.
pub(super) const MESSAGE_LIMIT: usize = 100_000;

/// `[skip ci]` and `[ci skip]` anywhere, with a space, `-` or `_`, in any case.
pub(super) fn asks_to_skip(message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    ["skip ci", "skip-ci", "skip_ci", "ci skip", "ci-skip", "ci_skip"]
        .iter()
        .any(|words| text.contains(&format!("[{words}]")))
}

/// Cuts at a character's border.
pub(super) fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_words_are_found_anywhere() {
        for message in [
            "[skip ci]",
            "x [CI SKIP] y",
            "a\n\nb [skip-ci]",
            "[ci_skip]",
            "ü [Skip CI]",
        ] {
            assert!(asks_to_skip(message), "{message}");
        }
        for message in ["", "skip ci", "[skip  ci]", "[skipci]", "[no ci]", "(skip ci)"] {
            assert!(!asks_to_skip(message), "{message}");
        }
    }

    #[test]
    fn a_cut_leaves_whole_characters() {
        let mut text = "aüb".to_owned();
        truncate(&mut text, 2);
        assert_eq!(text, "a");
    }
}
