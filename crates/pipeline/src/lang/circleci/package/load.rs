//! The main file and its orbs.

use std::rc::Rc;

use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node, Value};

use super::contents::{Kind, Origin, Package};
use super::name::{check_lower, check_title};
use super::orb;
use crate::lang::circleci::read::{SCHEMA, is_null, kind, listed};

const TOP: [&str; 14] = [
    "version",
    "setup",
    "orbs",
    "parameters",
    "commands",
    "executors",
    "jobs",
    "job-groups",
    "workflows",
    "experimental",
    "notify",
    "description",
    "display",
    "examples",
];

/// Those of them that change no pipeline.
const IDLE: [&str; 4] = ["experimental", "notify", "display", "examples"];

/// Reads what the main file defines. `None`: it is no configuration.
pub(in crate::lang::circleci) fn load(session: &Session<'_>, root: &Node) -> Option<Rc<Package>> {
    let Some(map) = root.as_map() else {
        let message = format!("a configuration is a map, not {}", kind(root));
        session.error(&code::CIRCLECI_FORMAT, root.span, message);
        return None;
    };
    version(session, root, map);
    setup(session, map);
    for (key, _) in map.iter() {
        if let Some(text) = key.text().filter(|text| IDLE.contains(&&***text)) {
            let message =
                format!("`{text}` does nothing here: it is for CircleCI's own notifications or its list of orbs");
            session.error(&code::CIRCLECI_NO_EFFECT, key.span, message);
        }
        let Some(text) = key.text().filter(|text| !TOP.contains(&&***text)) else {
            continue;
        };
        let message = format!(
            "`{text}` means nothing at the top of the file; known are {}",
            listed(&TOP[..9])
        );
        let problem = Problem::new(&code::CIRCLECI_UNKNOWN_TOP_LEVEL, key.span, message);
        session.report(problem.suggest(text, TOP));
    }
    Some(Rc::new(package(session, map, Origin::Main, 0)))
}

/// `setup: true`: a configuration of one workflow, which gives the one that follows it.
fn setup(session: &Session<'_>, map: &Map) {
    let Some((key, value)) = map.entry("setup") else { return };
    match value.value(SCHEMA) {
        Value::Bool(true) => {}
        Value::Bool(false) => return,
        _ => {
            let message = format!("`setup` must be true or false, not {}", kind(value));
            session.error(&code::CIRCLECI_TYPE, value.span, message);
            return;
        }
    }
    if session.input.context.trigger.origin.is_some() {
        let message = "the configuration that follows a `setup` one cannot be one itself";
        session.error(&code::CIRCLECI_SETUP, key.span, message);
    }
    let named = |key: &str| map.get(key).and_then(Node::text).is_some_and(|text| &**text == "2.1");
    if !named("version") {
        session.error(&code::CIRCLECI_SETUP, key.span, "`setup` needs `version: 2.1`");
    }
    let workflows = map.get("workflows").and_then(Node::as_map);
    let extra = workflows.and_then(|all| {
        all.iter()
            .filter(|(key, _)| key.text().is_none_or(|text| &**text != "version"))
            .nth(1)
    });
    if let Some((key, _)) = extra {
        let message = "a `setup` configuration has one workflow only";
        let problem = Problem::new(&code::CIRCLECI_SETUP, key.span, message);
        session.report(problem.hint("put the other workflows into the configuration that follows it"));
    }
}

/// Whether the file is followed by another configuration.
pub(in crate::lang::circleci) fn is_setup(root: &Node) -> bool {
    let value = root.as_map().and_then(|map| map.get("setup"));
    value.is_some_and(|value| value.value(SCHEMA) == Value::Bool(true))
}

fn version(session: &Session<'_>, root: &Node, map: &Map) {
    let Some(version) = map.get("version") else {
        let problem = Problem::new(&code::CIRCLECI_FORMAT, root.span, "the configuration has no `version`");
        session.report(problem.hint("begin the file with `version: 2.1`"));
        return;
    };
    let known = version
        .text()
        .is_some_and(|text| matches!(&**text, "2" | "2.0" | "2.1"));
    if !known {
        let message = "`version` is 2.1 (or 2, without parameters, commands, executors and orbs)";
        session.error(&code::CIRCLECI_FORMAT, version.span, message);
    }
}

/// What a file or orb defines.
pub(super) fn package(session: &Session<'_>, map: &Map, origin: Origin, depth: usize) -> Package {
    let defined = |kind: Kind| {
        let node = map.get(kind.key())?;
        let Some(found) = node.as_map() else {
            if !is_null(node) {
                let message = format!("`{}` must be a map of names", kind.key());
                session.error(&code::CIRCLECI_TYPE, node.span, message);
            }
            return None;
        };
        for (key, _) in found.iter() {
            match kind {
                Kind::Job | Kind::Group => check_title(session, key, kind.word()),
                Kind::Command | Kind::Executor => check_lower(session, key, kind.word()),
            };
        }
        Some(found.clone())
    };
    let mut package = Package {
        origin,
        commands: defined(Kind::Command),
        executors: defined(Kind::Executor),
        jobs: defined(Kind::Job),
        groups: defined(Kind::Group),
        orbs: Default::default(),
        missing: Vec::new(),
    };
    if let Some(orbs) = map.get("orbs") {
        orb::load_all(session, orbs, &mut package, depth);
    }
    package
}
