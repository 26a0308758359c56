//! Files → one merged tree: headers and inputs, includes, `extends`, `!reference`, stages.
//!
//! The order is GitLab's and matters: each file is interpolated by itself, then files are merged, then
//! `extends` is resolved over the merged whole, then `!reference`.

mod config;
mod entry;
mod extends;
mod fetch;
mod files;
mod form;
mod functions;
mod header;
mod include_rules;
mod inputs;
mod interpolate;
mod locate;
mod merge;
mod read;
mod reference;
mod size;
mod stages;
pub(crate) mod wildcard;

pub use config::{Config, GLOBAL_KEYS, RawJob, SCHEMA};
pub(crate) use form::form;

use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{FileId, Map, Node, Span, Value};

/// Loads the configuration of a session. `None`: something has to be asked first, or the errors that were
/// reported leave nothing to go on with. Errors in parts (an unknown base, a broken reference) are reported and
/// leave the rest to be checked.
pub fn load(session: &Session<'_>) -> Option<Config> {
    let merged = files::Files::new(session).main()?;
    if session.is_waiting() {
        return None;
    }
    check_names(session, &merged);
    let extended = extends::resolve(session, merged)?;
    let root = reference::resolve(session, extended);
    let stages = stages::stages(session, &root);
    session.show_merged(Node::map_of(root.clone(), Span::start_of(FileId(0))));
    let span = root.first().map_or(Span::start_of(FileId(0)), |(key, _)| key.span);
    let config = Config { root, span, stages };
    size::fits(session, &config).then_some(config)
}

/// Names of jobs and keywords are strings.
fn check_names(session: &Session<'_>, root: &Map) {
    for (key, _) in root.iter() {
        let what = match key.value(SCHEMA) {
            Value::Text(_) | Value::Symbol(_) => continue,
            other => other.describe(),
        };
        let written = key.text().map_or("this", |text| text);
        let problem = Problem::new(
            &code::GITLAB_KEY_TYPE,
            key.span,
            format!("the name `{written}` should be a symbol: in YAML 1.1 it is {what}"),
        );
        session.report(problem.hint(format!("put it in quotes: \"{written}\"")));
    }
}
