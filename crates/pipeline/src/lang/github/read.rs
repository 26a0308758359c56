//! Text → one document, as GitHub reads YAML: version 1.2, no merge keys, no key twice.

use std::sync::Arc;

use crate::Session;
use crate::diag::{Problem, code};
use crate::session::ParsedFile;
use crate::yaml::{self, MergeKeys, Node, Schema, Span, Value};

pub(super) const SCHEMA: Schema = Schema::Core;

/// Levels of nesting of a workflow file.
const MOST_LEVELS: u16 = 50;

/// The type of a node under the rules of YAML 1.2.
pub(super) fn value(node: &Node) -> Value<'_> {
    node.value(SCHEMA)
}

/// Reads a file; what is wrong with it is in its problems.
pub(super) fn read(session: &Session<'_>, name: &str, text: &str) -> Arc<ParsedFile> {
    let limits = yaml::Limits {
        depth: MOST_LEVELS,
        ..session.input.context.limits.yaml
    };
    session.parsed().get_or_read(name, text, |file| {
        let options = yaml::Options {
            file,
            schema: SCHEMA,
            merge: MergeKeys::Off,
            limits,
        };
        let mut problems = Vec::new();
        let mut documents = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parts = yaml::split(text);
        let mut parts = parts.iter().filter(|part| has_content(part.text));
        if let Some(part) = parts.next() {
            match yaml::parse(*part, options, &mut problems) {
                Ok(node) => documents.extend(node),
                Err(problem) => problems.push(*problem),
            }
        }
        if let Some(second) = parts.next() {
            let span = Span {
                line: second.line,
                length: 3,
                ..Span::start_of(file)
            };
            problems.push(Problem::new(
                &code::GITHUB_FORMAT,
                span,
                "a file holds one document only",
            ));
        }
        for problem in &mut problems {
            // What other languages only warn of is refused here.
            if problem.code == &code::YAML_DUPLICATE_KEY {
                problem.code = &code::GITHUB_DUPLICATE_KEY;
            }
        }
        (documents, problems)
    })
}

fn has_content(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#') && line != "---")
}
