//! Text → tree.

use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::circleci::read::SCHEMA;
use crate::yaml::{self, MergeKeys, Node, Span};

/// The tree of a file, if it can be read. Only its first document counts.
pub(in crate::lang::circleci) fn read(session: &Session<'_>, name: &str, text: &str) -> Option<Node> {
    let limits = session.input.context.limits.yaml;
    let file = session.parsed().get_or_read(name, text, |file| {
        let options = yaml::Options {
            file,
            schema: SCHEMA,
            merge: MergeKeys::Below,
            limits,
        };
        let mut problems = Vec::new();
        let parts = yaml::split(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut parts = parts.iter();
        let document = parts.next().map(|first| yaml::parse(*first, options, &mut problems));
        // A bare date stays the text that it is.
        problems.retain(|problem| problem.code.name != code::YAML_DATE.name);
        if let Some(second) = parts.next() {
            let span = Span {
                line: second.line,
                length: 3,
                ..Span::start_of(file)
            };
            let message = "the file has a second document: a configuration is one";
            problems.push(Problem::new(&code::CIRCLECI_FORMAT, span, message));
        }
        match document {
            None | Some(Ok(None)) => {
                let message = "the configuration is empty";
                problems.push(Problem::new(&code::CIRCLECI_FORMAT, Span::start_of(file), message));
                (Vec::new(), problems)
            }
            Some(Ok(Some(node))) => (vec![node], problems),
            Some(Err(problem)) => {
                problems.push(*problem);
                (Vec::new(), problems)
            }
        }
    });
    for problem in &file.problems {
        session.report(problem.clone());
    }
    file.documents.first().cloned()
}
