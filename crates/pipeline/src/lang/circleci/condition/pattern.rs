//! Regular expressions that match the whole text.

use std::cell::RefCell;

use foldhash::HashMap;
use regex::Regex;

/// Matches a text from its beginning to its end.
#[derive(Debug)]
struct Pattern(Regex);

impl Pattern {
    /// Compiles; `Err` is the reason why that cannot be.
    fn new(text: &str) -> Result<Self, String> {
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

    fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// What the regular expressions of a configuration said last: the same filter stands at every job, and is asked of the
/// same branch. The expressions themselves are not kept, since each may be large.
#[derive(Debug, Default)]
pub(in crate::lang::circleci) struct Matches(RefCell<HashMap<String, Answer>>);

/// The text that was asked of, and the answer.
type Answer = (String, Result<bool, String>);

impl Matches {
    /// Whether the pattern matches the whole text; `Err` is the reason why it cannot be used.
    pub(in crate::lang::circleci) fn is_match(&self, pattern: &str, text: &str) -> Result<bool, String> {
        if let Some((asked, answer)) = self.0.borrow().get(pattern)
            && asked == text
        {
            return answer.clone();
        }
        let answer = Pattern::new(pattern).map(|pattern| pattern.is_match(text));
        self.0
            .borrow_mut()
            .insert(pattern.to_owned(), (text.to_owned(), answer.clone()));
        answer
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
