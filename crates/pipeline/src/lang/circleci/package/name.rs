//! Which names elements may have.

use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Text};

/// Names of jobs, workflows, groups and orbs: letters first, then also digits, spaces, `-`, `_`.
pub(in crate::lang::circleci) fn check_title<'n>(session: &Session<'_>, key: &'n Node, what: &str) -> Option<&'n Text> {
    let good = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || matches!(c, '-' | '_'))
    };
    check(session, key, what, good, "letters, digits, spaces, `-` and `_`")
}

/// Names of parameters: no spaces. (Documented is lower case; CircleCI takes both.)
pub(in crate::lang::circleci) fn check_parameter<'n>(session: &Session<'_>, key: &'n Node) -> Option<&'n Text> {
    let good = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    check(session, key, "parameter", good, "letters, digits, `-` and `_`")
}

/// Names of commands and executors: lower case, no spaces.
pub(in crate::lang::circleci) fn check_lower<'n>(session: &Session<'_>, key: &'n Node, what: &str) -> Option<&'n Text> {
    let good = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    check(session, key, what, good, "lower-case letters, digits, `-` and `_`")
}

fn check<'n>(
    session: &Session<'_>,
    key: &'n Node,
    what: &str,
    good: impl Fn(&str) -> bool,
    permitted: &str,
) -> Option<&'n Text> {
    let text = key.text();
    if !text.is_some_and(|text| good(text)) {
        let name = text.map_or("…", |text| text);
        let message = format!("the name of {what} `{name}` is not made of {permitted}, with a letter first");
        session.report(Problem::new(&code::CIRCLECI_NAME, key.span, message));
    }
    text
}
