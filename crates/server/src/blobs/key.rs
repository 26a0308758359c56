//! Keys of stored bytes.

use super::Error;

/// The name of stored bytes: parts of `a-z`, `0-9`, `-`, `_` and `.` between slashes. No part is empty or
/// begins with a dot, so a key is safe as a path and in a URL on every system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

/// Longest key that is taken.
const MAX: usize = 200;

impl Key {
    /// Checks a key, as it comes from the database.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
        };
        if text.len() <= MAX && text.split('/').all(part) {
            Ok(Self(text))
        } else {
            Err(Error::Key(text))
        }
    }

    /// A key that nobody has yet: `<area>/ab/<32 hex digits>`.
    ///
    /// # Errors
    /// When the system gives no random numbers, or `area` is no part of a key.
    pub fn random(area: &str) -> Result<Self, Error> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random)?;
        let name = hex(&random);
        Self::new(format!("{area}/{}/{name}", &name[..2]))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_keys_are_taken() {
        let check = |text: &str, ok: bool| assert_eq!(Key::new(text).is_ok(), ok, "{text:?}");
        check("artifacts/ab/abcdef0123", true);
        check("a", true);
        check("a/b.zip", true);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            "a/.hidden",
            "A",
            "a b",
            "a\\b",
            "a\0",
            "ä",
            "a:b",
            "a%2e%2e",
            "~",
        ] {
            check(bad, false);
        }
        check(&"a".repeat(201), false);
    }

    #[test]
    fn random_keys_differ() {
        let (a, b) = (Key::random("logs").unwrap(), Key::random("logs").unwrap());
        assert_ne!(a, b);
        assert!(a.as_str().starts_with("logs/"));
        assert!(Key::random("../x").is_err());
    }
}
