//! Text → documents.

use std::sync::Arc;

use super::SCHEMA;
use crate::Session;
use crate::diag::{Problem, code};
use crate::session::ParsedFile;
use crate::yaml::{self, MergeKeys, Node, Span};

/// The documents of a text: header and body where the first has `spec`, else the first only.
pub(super) fn read(session: &Session<'_>, name: &str, text: &str) -> Arc<ParsedFile> {
    let limits = session.input.context.limits.yaml;
    session.parsed().get_or_read(name, text, |file| {
        let options = yaml::Options {
            file,
            schema: SCHEMA,
            merge: MergeKeys::InPlace,
            limits,
        };
        let mut problems = Vec::new();
        let mut documents = Vec::new();
        if text.len() > limits.bytes {
            let message = format!(
                "The provided YAML is too big: {} bytes, the limit is {}",
                text.len(),
                limits.bytes
            );
            problems.push(Problem::new(&code::YAML_TOO_BIG, Span::start_of(file), message));
            return (documents, problems);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parts = yaml::split(text);
        for part in &parts {
            match yaml::parse(*part, options, &mut problems) {
                Ok(node) => documents.push(node.unwrap_or_else(|| Node::plain("", Span::start_of(file)))),
                Err(problem) => {
                    problems.push(*problem);
                    documents.clear();
                    break;
                }
            }
            let header = documents.first().is_some_and(|first| first.get("spec").is_some());
            if documents.len() == 1 + usize::from(header) {
                break;
            }
        }
        if let Some(ignored) = parts.get(documents.len()).filter(|_| !documents.is_empty()) {
            let span = Span {
                line: ignored.line,
                length: 3,
                ..Span::start_of(file)
            };
            let message = "everything from here on is not read: it is another document";
            problems.push(Problem::new(&code::GITLAB_DOCUMENTS, span, message));
        }
        (documents, problems)
    })
}
