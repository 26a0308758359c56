//! Kinds of tokens, told by their prefix, and their short form.

/// What a token given to `register` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `glrt-…`: the runner was made in the UI or API; register only verifies it.
    Authentication,
    /// Anything else: makes a runner (legacy).
    Registration,
}

impl TokenKind {
    /// The kind of `token`. `glrtr-` tokens come from registration tokens but authenticate runners.
    #[must_use]
    pub fn of(token: &str) -> Self {
        if token.starts_with("glrt-") || token.starts_with("glrtr-") {
            Self::Authentication
        } else {
            Self::Registration
        }
    }
}

/// The part of a token that is fit for logs and paths: prefixes off, then the first 9 bytes.
#[must_use]
pub fn short_token(token: &str) -> &str {
    let mut rest = token;
    if let Some(after) = rest.strip_prefix("glrt-") {
        rest = strip_partition(after);
    } else if let Some(after) = rest.strip_prefix("glrtr-") {
        rest = after;
    } else {
        rest = strip_partition(rest);
    }
    rest = rest.strip_prefix("glcbt-").unwrap_or(rest);
    rest = strip_registration(rest);
    let mut end = rest.len().min(9);
    while !rest.is_char_boundary(end) {
        end -= 1;
    }
    &rest[..end]
}

/// Removes `t1_`, `t2_` or `t3_`.
fn strip_partition(text: &str) -> &str {
    ["t1_", "t2_", "t3_"]
        .iter()
        .find_map(|marker| text.strip_prefix(marker))
        .unwrap_or(text)
}

/// Removes `GR` and seven hexadecimal digits.
fn strip_registration(text: &str) -> &str {
    match text.strip_prefix("GR") {
        Some(rest) if rest.len() >= 7 && rest.as_bytes()[..7].iter().all(u8::is_ascii_hexdigit) => &rest[7..],
        _ => text,
    }
}
