//! Names of caches. Source: the rules of GitLab's runner for cache keys.

use std::path::{Path, PathBuf};

/// A usable key, and whether it had to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    pub key: String,
    /// It is not what was written: worth a line in the log.
    pub changed: bool,
}

/// Makes a key (variables expanded already) a path that stays below the caches' folder: `%2f` and `%2e` are decoded, `\` is
/// `/`, `.` and `..` are resolved without leaving, blanks at the end of a segment go. `None`: nothing is left of it, and
/// the cache is skipped with a warning.
#[must_use]
pub fn clean_key(raw: &str) -> Option<CacheKey> {
    let decoded = replace_ignoring_case(&replace_ignoring_case(raw, "%2f", "/"), "%2e", ".").replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment.trim_end() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let key = segments.join("/").replace('\0', "");
    (!key.is_empty()).then(|| CacheKey {
        changed: key != raw,
        key,
    })
}

fn replace_ignoring_case(text: &str, escape: &str, by: &str) -> String {
    text.replace(escape, by).replace(&escape.to_uppercase(), by)
}

/// Whether `CACHE_FALLBACK_KEY` may be used: it must not reach for the caches of protected branches.
#[must_use]
pub fn fallback_is_allowed(key: &str) -> bool {
    !key.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
        .ends_with("-protected")
}

/// Where the archive of a cleaned key lies on this machine.
#[must_use]
pub fn local_file(cache_dir: &Path, project_slug: &str, key: &CacheKey) -> PathBuf {
    let slug = clean_key(project_slug).map(|slug| slug.key).unwrap_or_default();
    cache_dir.join(slug).join(&key.key).join("cache.zip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_their_folder() {
        let check = |raw: &str, key: Option<&str>| {
            let found = clean_key(raw);
            assert_eq!(found.as_ref().map(|found| found.key.as_str()), key, "{raw:?}");
            assert_eq!(
                found.is_some_and(|found| found.changed),
                key.is_some_and(|key| key != raw),
                "{raw:?}"
            );
        };
        check("test/main", Some("test/main"));
        check("a b/c", Some("a b/c"));
        check("key  ", Some("key"));
        check("a /b ", Some("a/b"));
        check("../../etc", Some("etc"));
        check("a/../../b", Some("b"));
        check("%2e%2E/%2Fa", Some("a"));
        check("a\\b", Some("a/b"));
        check("", None);
        check(".", None);
        check("..", None);
        check(" / ", None);
    }

    #[test]
    fn a_fallback_does_not_reach_protected_caches() {
        assert!(fallback_is_allowed("main"));
        assert!(fallback_is_allowed("main-non_protected"));
        for key in [
            "main-protected",
            "main-protected ",
            "main-protected..",
            "main-protected. .",
        ] {
            assert!(!fallback_is_allowed(key), "{key}");
        }
    }

    #[test]
    fn an_archive_has_its_place() {
        let key = clean_key("deps/../k").expect("is a key");
        assert_eq!(
            local_file(Path::new("/c"), "group/../../project", &key),
            Path::new("/c/project/k/cache.zip")
        );
    }
}
