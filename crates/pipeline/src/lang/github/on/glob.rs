//! Patterns of branch, tag and path filters: `*` stops at `/`, `**` does not, `?` and `+` count the character before
//! them, `[…]` is one character, `\` takes a meaning away.

/// A pattern that is compared with the whole text, with regard to case.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Without a character that has a meaning, as most names of branches are.
    Exact(String),
    /// Of bytes: what stands for any character needs no tables of all characters then.
    Regex(regex::bytes::Regex),
}

/// Bytes that one compiled pattern may take.
const MOST_SIZE: usize = 1 << 18;

impl Pattern {
    /// Reads a pattern without its leading `!`.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if !pattern.contains(['*', '?', '+', '[', '\\']) {
            return Ok(Self::Exact(pattern.to_owned()));
        }
        let mut regex = String::from("^(?:");
        let mut chars = pattern.chars().peekable();
        let mut countable = false;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    // `**/` may stand for nothing.
                    if chars.next_if_eq(&'/').is_some() {
                        regex.push_str("(?:(?s-u:.)*/)?");
                    } else {
                        regex.push_str("(?s-u:.)*");
                    }
                    countable = false;
                    continue;
                }
                '*' => {
                    regex.push_str("(?-u:[^/])*");
                    countable = false;
                    continue;
                }
                '?' | '+' if countable => {
                    regex.push(c);
                    countable = false;
                    continue;
                }
                '?' | '+' => return Err(format!("`{c}` needs a single character before it")),
                '[' => class(&mut chars, &mut regex)?,
                '\\' => match chars.next() {
                    Some(next) => regex.push_str(&regex::escape(&next.to_string())),
                    None => return Err("`\\` at the end escapes nothing".to_owned()),
                },
                c => regex.push_str(&regex::escape(&c.to_string())),
            }
            countable = true;
        }
        regex.push_str(")$");
        regex::bytes::RegexBuilder::new(&regex)
            .size_limit(MOST_SIZE)
            .dfa_size_limit(MOST_SIZE)
            .build()
            .map(Self::Regex)
            .map_err(|_| "it is no pattern that can be used".to_owned())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(whole) => whole == text,
            Self::Regex(regex) => regex.is_match(text.as_bytes()),
        }
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, regex: &mut String) -> Result<(), String> {
    let mut inner = String::new();
    loop {
        match chars.next() {
            Some(']') => break,
            Some('-') => inner.push('-'),
            Some(c) if c.is_ascii_alphanumeric() => inner.push(c),
            Some(c) => {
                return Err(format!(
                    "between `[` and `]` only letters, digits and ranges may stand, not `{c}`"
                ));
            }
            None => return Err("`[` is not closed".to_owned()),
        }
    }
    if inner.is_empty() {
        return Err("`[]` matches nothing".to_owned());
    }
    regex.push('[');
    regex.push_str(&inner);
    regex.push(']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    /// The examples of GitHub's own page on filter patterns, and their counterparts.
    #[test]
    fn patterns() {
        for (pattern, yes, no) in [
            ("feature/*", "feature/my-branch", "feature/a/b"),
            ("feature/**", "feature/beta-a/my-branch", "feature"),
            ("main", "main", "Main"),
            ("*", "releases", "a/b"),
            ("**", "all/the/branches", "\u{0}x\u{0}\n\n".trim_matches('x')),
            ("*feature", "mona-feature", "mona-features"),
            ("v2*", "v2.0", "v1"),
            ("v[12].[0-9]+.[0-9]+", "v1.10.1", "v3.0.0"),
            ("*.jsx?", "page.js", "page.jsxx"),
            ("*.jsx?", "page.jsx", "js/page.js"),
            ("**.js", "src/js/app.js", "app.ts"),
            ("docs/**/*.md", "docs/README.md", "README.md"),
            ("docs/**/*.md", "docs/a/markdown/file.md", "docs.md"),
            ("**/docs/**", "docs/hello.md", "dir/doc/x"),
            ("**/docs/**", "dir/docs/my-file.txt", "docs"),
            ("**/migrate-*.sql", "db/sept/migrate-v1.sql", "db/migrate.sql"),
            ("a\\*b", "a*b", "axb"),
            ("a.c", "a.c", "abc"),
            ("ü?/*/**", "ü/é/ö/ß", "u/é/ö"),
            ("ü+é", "üüé", "üü"),
        ] {
            let found = Pattern::new(pattern).unwrap();
            assert!(found.matches(yes), "{pattern} {yes}");
            if pattern != "**" {
                assert!(!found.matches(no), "{pattern} {no}");
            }
        }
        for pattern in ["?a", "+", "[a", "a\\", "[]", "[!a]", "**?"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
