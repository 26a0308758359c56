//! Regular expressions that match the whole text.

use regex::Regex;

/// Matches a text from its beginning to its end.
#[derive(Debug)]
pub(in crate::lang::circleci) struct Pattern(Regex);

impl Pattern {
    /// Compiles; `Err` is the reason.
    pub(in crate::lang::circleci) fn new(text: &str) -> Result<Self, String> {
        if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| text.contains(look)) {
            return Err("look-around is not supported".to_owned());
        }
        let possessive = text.replace("(?<", "(?P<").replace("(?P<=", "(?<=");
        Regex::new(&format!("^(?:{possessive})$")).map(Self).map_err(|err| {
            let text = err.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        })
    }

    pub(in crate::lang::circleci) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn the_whole_text_matches() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(
                Pattern::new(pattern).unwrap().is_match(text),
                expected,
                "{pattern} {text}"
            );
        };
        check("feature", "feature-1", false);
        check("feature.*", "feature-1", true);
        check("^v\\d+$", "v12", true);
        check("a|b", "ab", false);
        Pattern::new("(?!x)").expect_err("look-around");
        Pattern::new("(").expect_err("open");
    }
}
