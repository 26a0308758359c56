//! Commands in what a step prints: `::name key=value,key=value::text` at the start of a line.

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// In small letters.
    pub(super) name: String,
    pub(super) properties: Vec<(String, String)>,
    pub(super) text: String,
}

/// Names that are commands; anything else is text.
const NAMES: &[&str] = &[
    "debug",
    "notice",
    "warning",
    "error",
    "group",
    "endgroup",
    "add-mask",
    "stop-commands",
    "echo",
    "add-matcher",
    "remove-matcher",
    "set-output",
    "save-state",
    "set-env",
    "add-path",
];

impl Command {
    /// The command that a line is; `extra` is the word that makes commands count again.
    pub(super) fn parse(line: &str, extra: Option<&str>) -> Option<Self> {
        let rest = line.trim_start().strip_prefix("::")?;
        let (head, text) = rest.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let name = name.trim().to_ascii_lowercase();
        let known = match extra {
            Some(word) => name.eq_ignore_ascii_case(word),
            None => NAMES.contains(&name.as_str()),
        };
        if !known {
            return None;
        }
        let pair = |part: &str| {
            let (key, value) = part.split_once('=')?;
            Some((key.trim().to_ascii_lowercase(), unescape(value, Part::Property)))
        };
        Some(Self {
            name,
            properties: properties.split(',').filter_map(pair).collect(),
            text: unescape(text, Part::Text),
        })
    }

    pub(super) fn property(&self, key: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// `file:line:column: title: text`, as far as it is given.
    pub(super) fn note(&self) -> String {
        let mut note = String::new();
        if let Some(file) = self.property("file") {
            note.push_str(file);
            for key in ["line", "col"] {
                if let Some(value) = self.property(key) {
                    note.push(':');
                    note.push_str(value);
                }
            }
            note.push_str(": ");
        }
        if let Some(title) = self.property("title") {
            note.push_str(title);
            note.push_str(": ");
        }
        note.push_str(&self.text);
        note
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Text,
    Property,
}

fn unescape(text: &str, part: Part) -> String {
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    if part == Part::Property {
        text = text.replace("%3A", ":").replace("%2C", ",");
    }
    text.replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let found = Command::parse(line, None);
            let found = found.map(|command| (command.name.clone(), command.note()));
            let expected = expected.map(|(name, note)| (name.to_owned(), note.to_owned()));
            assert_eq!(found, expected, "{line}");
        };
        check("::warning::hot", Some(("warning", "hot")));
        check(
            "  ::Error file=a.c,line=3,col=7,title=Oh%2C no::x%0Ay%25",
            Some(("error", "a.c:3:7: Oh, no: x\ny%")),
        );
        check("::add-mask::s3cret", Some(("add-mask", "s3cret")));
        check("::endgroup::", Some(("endgroup", "")));
        check(
            "::notice line=1::only with a file",
            Some(("notice", "only with a file")),
        );
        check("::unknown::x", None);
        check("text ::warning::x", None);
        check("::warning", None);
        check("", None);
    }

    #[test]
    fn only_the_word_counts_while_commands_are_stopped() {
        assert!(Command::parse("::warning::x", Some("tok")).is_none());
        assert!(Command::parse("::tok::", Some("tok")).is_some());
    }
}
