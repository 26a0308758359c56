//! Problem matchers: regular expressions that find errors and warnings in what programs print.

use regex::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

/// Characters of a line beyond which it is not looked at.
const MOST_CHARS: usize = 4_096;
/// Memory of a compiled expression: larger ones are refused.
const MOST_MEMORY: usize = 1 << 20;

/// The matchers of a job, the newest last, and how far each has come.
#[derive(Default)]
pub(super) struct Matchers {
    all: Vec<Matcher>,
}

struct Matcher {
    owner: String,
    severity: String,
    patterns: Vec<Pattern>,
    /// Captured so far of a problem over several lines.
    open: Option<Open>,
}

struct Open {
    next: usize,
    found: Problem,
}

struct Pattern {
    regex: Regex,
    groups: Groups,
    repeats: bool,
}

/// Which group holds what.
#[derive(Debug, Default, Deserialize)]
struct Groups {
    file: Option<usize>,
    line: Option<usize>,
    column: Option<usize>,
    severity: Option<usize>,
    code: Option<usize>,
    message: Option<usize>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: String,
    pub(super) file: String,
    pub(super) line: String,
    pub(super) column: String,
    pub(super) code: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    problem_matcher: Vec<Given>,
}

#[derive(Deserialize)]
struct Given {
    owner: String,
    #[serde(default)]
    severity: Option<String>,
    pattern: Vec<GivenPattern>,
}

#[derive(Deserialize)]
struct GivenPattern {
    regexp: String,
    #[serde(flatten)]
    groups: Groups,
    #[serde(default, rename = "loop")]
    repeats: bool,
}

impl Matchers {
    /// Takes the matchers of a file; one of an owner that is known replaces the former.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn add(&mut self, json: &[u8]) -> Result<(), String> {
        let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        for given in file.problem_matcher {
            let matcher = Matcher::new(given)?;
            self.remove(&matcher.owner);
            self.all.push(matcher);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn remove(&mut self, owner: &str) {
        self.all.retain(|matcher| !matcher.owner.eq_ignore_ascii_case(owner));
    }

    /// Looks at a line; gives the problem that it completes. The newest matcher counts, and the others start anew.
    pub(super) fn look(&mut self, line: &str) -> Option<Problem> {
        if self.all.is_empty() || line.len() > MOST_CHARS {
            return None;
        }
        let line = without_colour(line);
        let found = self
            .all
            .iter_mut()
            .enumerate()
            .rev()
            .find_map(|(at, matcher)| Some((at, matcher.look(&line)?)));
        let (at, problem) = found?;
        for (other, matcher) in self.all.iter_mut().enumerate() {
            if other != at {
                matcher.open = None;
            }
        }
        Some(problem)
    }
}

impl Matcher {
    fn new(given: Given) -> Result<Self, String> {
        let owner = given.owner;
        let count = given.pattern.len();
        let mut patterns = Vec::with_capacity(count);
        for (at, pattern) in given.pattern.into_iter().enumerate() {
            let last = at + 1 == count;
            if last != pattern.groups.message.is_some() {
                return Err(format!(
                    "matcher {owner:?}: the last pattern, and no other, has `message`"
                ));
            }
            if pattern.repeats && (!last || count < 2) {
                return Err(format!(
                    "matcher {owner:?}: only the last of several patterns may have `loop`"
                ));
            }
            let regex = RegexBuilder::new(&pattern.regexp).size_limit(MOST_MEMORY).build();
            patterns.push(Pattern {
                regex: regex.map_err(|error| format!("matcher {owner:?}: {error}"))?,
                groups: pattern.groups,
                repeats: pattern.repeats,
            });
        }
        if patterns.is_empty() {
            return Err(format!("matcher {owner:?} has no pattern"));
        }
        Ok(Self {
            severity: given.severity.unwrap_or_else(|| "error".to_owned()),
            owner,
            patterns,
            open: None,
        })
    }

    fn look(&mut self, line: &str) -> Option<Problem> {
        if let Some(Open { next, found }) = self.open.take()
            && let Some(problem) = self.step(next, &found, line)
        {
            return problem;
        }
        // A line that does not go on may be the first of another problem.
        self.step(0, &Problem::default(), line).flatten()
    }

    /// `None`: the line does not match; `Some(None)`: it does, and more is to come.
    fn step(&mut self, at: usize, so_far: &Problem, line: &str) -> Option<Option<Problem>> {
        let pattern = &self.patterns[at];
        let captures = pattern.regex.captures(line)?;
        let found = pattern.groups.put(&captures, so_far);
        if at + 1 < self.patterns.len() {
            self.open = Some(Open { next: at + 1, found });
            return Some(None);
        }
        if pattern.repeats {
            self.open = Some(Open {
                next: at,
                found: so_far.clone(),
            });
        }
        let mut found = found;
        if found.severity.is_empty() {
            found.severity.clone_from(&self.severity);
        }
        Some(Some(found))
    }
}

impl Groups {
    fn put(&self, captures: &Captures<'_>, so_far: &Problem) -> Problem {
        let mut problem = so_far.clone();
        let places = [
            (self.file, &mut problem.file),
            (self.line, &mut problem.line),
            (self.column, &mut problem.column),
            (self.severity, &mut problem.severity),
            (self.code, &mut problem.code),
            (self.message, &mut problem.message),
        ];
        for (group, place) in places {
            if let Some(text) = group.and_then(|group| captures.get(group)) {
                text.as_str().trim().clone_into(place);
            }
        }
        problem
    }
}

/// The line without the sequences that colour it.
fn without_colour(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        let end = after
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, lines: &[&str], expected: &[&str]) {
        let mut matchers = Matchers::default();
        matchers.add(json.as_bytes()).unwrap();
        let found = lines.iter().filter_map(|line| matchers.look(line));
        let found: Vec<String> = found
            .map(|p| {
                format!(
                    "{} {}:{}:{} {} {}",
                    p.severity, p.file, p.line, p.column, p.code, p.message
                )
            })
            .collect();
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn one_line() {
        let gcc = r#"{"problemMatcher":[{"owner":"gcc","pattern":[{"regexp":"^(.*):(\\d+):(\\d+):\\s+(warning|error):\\s+(.*)$",
            "file":1,"line":2,"column":3,"severity":4,"message":5}]}]}"#;
        check(
            gcc,
            &[
                "building",
                "a.c:3:7: warning: odd",
                "\u{1b}[31ma.c:4:1: error: bad\u{1b}[0m",
            ],
            &["warning a.c:3:7  odd", "error a.c:4:1  bad"],
        );
    }

    #[test]
    fn several_lines_with_repetition() {
        let eslint = r#"{"problemMatcher":[{"owner":"eslint","severity":"warning","pattern":[
            {"regexp":"^([^\\s].*)$","file":1},
            {"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning)\\s+(.*?)\\s\\s+(.*)$","line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#;
        check(
            eslint,
            &[
                "a.js",
                "  1:2  error  Missing semicolon  semi",
                "  3:4  warning  Unused  no-unused",
                "",
                "b.js",
                "nothing",
            ],
            &[
                "error a.js:1:2 semi Missing semicolon",
                "warning a.js:3:4 no-unused Unused",
            ],
        );
    }

    #[test]
    fn what_is_no_matcher_is_told() {
        let refused = |json: &str| Matchers::default().add(json.as_bytes()).unwrap_err();
        assert!(refused("{}").contains("problemMatcher"));
        let bad = r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"(","message":1}]}]}"#;
        assert!(refused(bad).starts_with("matcher \"x\""));
        let none = r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"x"}]}]}"#;
        assert!(refused(none).contains("message"));
    }
}
