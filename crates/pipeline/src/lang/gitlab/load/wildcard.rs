//! The wildcards of `include:local`: `*` stops at `/`, `**` does not.

use std::fmt::Write as _;

use regex::Regex;

/// Whether a path has wildcards.
pub(crate) fn is_wildcard(path: &str) -> bool {
    path.contains('*')
}

/// The expression that finds the paths of a pattern.
pub(crate) fn pattern(path: &str) -> Option<Regex> {
    let mut expression = String::from("^");
    let mut rest = path;
    while let Some(at) = rest.find('*') {
        let _ = write!(expression, "{}", regex::escape(&rest[..at]));
        rest = &rest[at..];
        let stars = rest.len() - rest.trim_start_matches('*').len();
        expression.push_str(if stars >= 2 { ".*?" } else { "[^/]*?" });
        rest = &rest[stars..];
    }
    let _ = write!(expression, "{}$", regex::escape(rest));
    Regex::new(&expression).ok()
}

#[cfg(test)]
mod tests {
    use super::pattern;

    fn check(glob: &str, path: &str, expected: bool) {
        let found = pattern(glob).is_some_and(|pattern| pattern.is_match(path));
        assert_eq!(found, expected, "{glob} on {path}");
    }

    #[test]
    fn one_star_stays_in_a_folder_and_two_do_not() {
        check("d/*.yml", "d/a.yml", true);
        check("d/*.yml", "d/e/a.yml", false);
        check("d/**.yml", "d/a.yml", true);
        check("d/**.yml", "d/e/f/a.yml", true);
        check("d/**/*.yml", "d/a.yml", false);
        check("d/**/*.yml", "d/e/a.yml", true);
        check("d/a.yml", "d/axyml", false);
    }
}
