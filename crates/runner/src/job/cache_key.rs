//! Cache keys as path segments.

use sha2::{Digest as _, Sha256};

/// A key as it is used in paths and object names: percent-encoded slashes and dots decoded, back slashes turned,
/// kept inside its root, blanks at the end of segments cut. Empty where nothing is left.
pub(super) fn clean(key: &str) -> String {
    let decoded = decode(key).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let trimmed = segments
        .iter()
        .map(|segment| segment.trim_end())
        .filter(|segment| !segment.is_empty());
    // Trimming can make a `..` of `.. `.
    trimmed
        .filter(|segment| !matches!(*segment, "." | ".."))
        .collect::<Vec<_>>()
        .join("/")
}

/// `FF_HASH_CACHE_KEYS`: the key's SHA-256, in a folder of its first two digits.
pub(super) fn hashed(key: &str) -> String {
    let hex: String = Sha256::digest(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}/{hex}", &hex[..2])
}

/// Whether the fallback key of all jobs may be used: not one that only protected refs may write.
pub(super) fn allowed_as_global_fallback(key: &str) -> bool {
    !key.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
        .ends_with("-protected")
}

fn decode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).map(str::to_ascii_lowercase);
        let (decoded, length) = match code.as_deref() {
            Some("2f") => ('/', 3),
            Some("2e") => ('.', 3),
            _ => ('%', 1),
        };
        out.push(decoded);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (key, expected) in [
            ("main", "main"),
            ("job/main", "job/main"),
            ("../../etc", "etc"),
            ("a/../../b", "b"),
            ("%2e%2E%2fx", "x"),
            ("a\\b", "a/b"),
            ("a /b  ", "a/b"),
            ("100%", "100%"),
            ("%zz%é", "%zz%é"),
            ("..", ""),
            (" ", ""),
            (".. /x", "x"),
            ("", ""),
        ] {
            assert_eq!(clean(key), expected, "{key:?}");
        }
    }

    #[test]
    fn hashes_are_sharded() {
        let hash = hashed("main");
        assert_eq!(hash.len(), 67);
        assert_eq!(hash[..2], hash[3..5]);
    }

    #[test]
    fn a_protected_cache_is_no_fallback_for_all() {
        for (key, allowed) in [
            ("main", true),
            ("main-protected", false),
            ("main-protected.. ", false),
            ("x-non_protected", true),
        ] {
            assert_eq!(allowed_as_global_fallback(key), allowed, "{key}");
        }
    }
}
