//! The lines of a text.

/// Characters of a value that a hint repeats, at most.
const MOST_SHOWN: usize = 60;

pub(super) struct Page<'t> {
    lines: Vec<&'t str>,
}

impl<'t> Page<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            lines: text.lines().collect(),
        }
    }

    /// The line, empty behind the last one.
    pub(super) fn line(&self, at: usize) -> &'t str {
        self.lines.get(at).copied().unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// The place itself, or the end of the last line that is not blank where it lies behind it.
    pub(super) fn within(&self, line: usize, column: usize) -> (usize, usize) {
        match self.lines.iter().rposition(|line| !line.trim().is_empty()) {
            Some(last) if line > last => (last, self.line(last).trim_end().chars().count().saturating_sub(1)),
            Some(_) => (line, column),
            None => (0, 0),
        }
    }

    /// The nearest line above `at` that has something to say.
    pub(super) fn above(&self, at: usize) -> Option<usize> {
        (0..at.min(self.count())).rev().find(|&line| !is_idle(self.line(line)))
    }
}

/// Whether a line is blank or a comment.
pub(super) fn is_idle(line: &str) -> bool {
    let content = line.trim_start();
    content.is_empty() || content.starts_with('#')
}

/// Blanks in front of a line.
pub(super) fn indent(line: &str) -> usize {
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).count()
}

/// What follows the first `column` characters.
pub(super) fn from(line: &str, column: usize) -> &str {
    line.char_indices().nth(column).map_or("", |(at, _)| &line[at..])
}

/// Without the comment behind it and blanks around it. A `#` in quotes is none.
pub(super) fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') && !before.is_alphanumeric() => quote = Some(c),
            None if c == '#' && before.is_whitespace() => return text[..at].trim(),
            None => {}
        }
        before = c;
    }
    text.trim()
}

/// The content of a line behind the dashes of a list, with its column.
pub(super) fn item(line: &str) -> (usize, &str) {
    let mut column = indent(line);
    let mut rest = from(line, column);
    while let Some(next) = rest.strip_prefix("- ") {
        let blanks = next.chars().take_while(|c| *c == ' ').count();
        column += 2 + blanks;
        rest = &next[blanks..];
    }
    (column, rest)
}

/// Where the key of `content` ends: the `:` with a blank or nothing behind it, as byte. Quotes around the key count.
pub(super) fn key_end(content: &str) -> Option<usize> {
    let start = match content.chars().next() {
        Some(quote @ ('"' | '\'')) => content[1..].find(quote)? + 2,
        _ => 0,
    };
    let (at, _) = content[start..].match_indices(':').find(|(at, _)| {
        let rest = &content[start + at + 1..];
        rest.is_empty() || rest.starts_with([' ', '\t'])
    })?;
    Some(start + at)
}

/// A text in the quotes that it needs; `None` where it is too long to be shown or has quotes of both kinds.
pub(super) fn in_quotes(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MOST_SHOWN {
        return None;
    }
    if !text.contains('\'') {
        return Some(format!("'{text}'"));
    }
    (!text.contains(['"', '\\'])).then(|| format!("\"{text}\""))
}

/// "put it in quotes", with the text where that is known.
pub(super) fn needs_quotes(text: &str) -> String {
    match in_quotes(text) {
        Some(quoted) => format!("put all of it in quotes: {}", code(&quoted)),
        None => "put all of it in quotes, or write it as a block below the key (`|`)".to_owned(),
    }
}

/// A piece of configuration in a hint: its fence is longer than what it has inside.
pub(super) fn code(text: &str) -> String {
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// As it may be shown: the first characters.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= MOST_SHOWN {
        return text.to_owned();
    }
    let cut: String = text.chars().take(MOST_SHOWN).collect();
    format!("{cut}…")
}

/// `1 space`, `4 spaces`.
pub(super) fn spaces(count: usize) -> String {
    match count {
        0 => "not at all".to_owned(),
        1 => "by 1 space".to_owned(),
        _ => format!("by {count} spaces"),
    }
}
