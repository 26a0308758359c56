//! Several documents in one file, as GitLab sees them.

/// A part of a file, and where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a> {
    pub text: &'a str,
    /// Number of the line (from 0) on which the text starts.
    pub line: u32,
}

/// Splits at lines that are `---` and white space. This is textual: a line of that form inside a block scalar
/// splits too. Documents of white space only are dropped.
#[must_use]
pub fn split(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let mut start = 0;
    let mut start_line = 0_u32;
    let mut at = 0;
    let mut push = |part: (usize, usize), line: u32| {
        let text = &text[part.0..part.1];
        if !text.trim().is_empty() {
            documents.push(Document { text, line });
        }
    };
    for (line, content) in (0_u32..).zip(text.split_inclusive('\n')) {
        let end = at + content.len();
        let rest = content.strip_prefix("---");
        if rest.is_some_and(|rest| rest.starts_with(char::is_whitespace) && rest.trim().is_empty()) {
            push((start, at), start_line);
            start = end;
            start_line = line + 1;
        }
        at = end;
    }
    push((start, text.len()), start_line);
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, u32)]) {
        let found: Vec<_> = split(text).iter().map(|d| (d.text, d.line)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn documents_are_split_textually() {
        check("a: 1\n", &[("a: 1\n", 0)]);
        check("---\na: 1\n", &[("a: 1\n", 1)]);
        check(
            "spec:\n---\na: 1\n--- \nb: 2",
            &[("spec:\n", 0), ("a: 1\n", 2), ("b: 2", 4)],
        );
        check("a: |\n  x\n---\n  y\n", &[("a: |\n  x\n", 0), ("  y\n", 3)]);
        check("---foo\na: 1\n---", &[("---foo\na: 1\n---", 0)]);
        check("\n\n", &[]);
    }
}
