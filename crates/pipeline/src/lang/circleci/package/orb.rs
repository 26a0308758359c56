//! Orbs: inline, or from a registry.

use std::rc::Rc;

use super::contents::{Origin, Package};
use super::load::package;
use super::name::check_title;
use super::source::read;
use crate::diag::{Problem, code};
use crate::lang::circleci::read::is_null;
use crate::request::{Answer, Request};
use crate::yaml::{Map, Node};
use crate::{Refusal, Session};

/// Orbs in orbs.
const DEEPEST: usize = 10;

const KEYS: [&str; 11] = [
    "version",
    "name",
    "description",
    "display",
    "orbs",
    "parameters",
    "commands",
    "executors",
    "jobs",
    "examples",
    "job-groups",
];

/// Loads what stands below `orbs`.
pub(super) fn load_all(session: &Session<'_>, orbs: &Node, into: &mut Package, depth: usize) {
    let Some(orbs) = orbs.as_map() else {
        if !is_null(orbs) {
            session.error(&code::CIRCLECI_TYPE, orbs.span, "`orbs` must be a map of names");
        }
        return;
    };
    for (key, orb) in orbs.iter() {
        let Some(alias) = check_title(session, key, "orb") else {
            continue;
        };
        if depth >= DEEPEST {
            let message = format!("orbs are nested deeper than {DEEPEST} levels here, or use one another in a circle");
            session.error(&code::CIRCLECI_RECURSION, key.span, message);
            into.missing.push(alias.clone());
            continue;
        }
        let loaded = match (orb.as_map(), orb.text()) {
            (Some(map), _) => Some(inline(session, map, depth)),
            (None, Some(reference)) => registry(session, reference, orb, depth),
            (None, None) => {
                let message = format!("orb `{alias}` must be `namespace/name@version` or a map");
                session.error(&code::CIRCLECI_TYPE, orb.span, message);
                None
            }
        };
        match loaded {
            Some(package) => drop(into.orbs.insert(alias.clone(), Rc::new(package))),
            None => into.missing.push(alias.clone()),
        }
    }
}

fn inline(session: &Session<'_>, map: &Map, depth: usize) -> Package {
    for (key, _) in map.iter() {
        if let Some(text) = key.text().filter(|text| !KEYS.contains(&&***text)) {
            let message = format!("unknown key `{text}` in an orb");
            let problem = Problem::new(&code::CIRCLECI_UNKNOWN_KEY, key.span, message);
            session.report(problem.suggest(text, KEYS));
        }
    }
    package(session, map, Origin::Inline, depth + 1)
}

fn registry(session: &Session<'_>, reference: &str, at: &Node, depth: usize) -> Option<Package> {
    let reference = parameters_in(session, reference, at)?;
    let Some((name, version)) = split(&reference) else {
        let message = format!("`{reference}` is no orb: write `namespace/name@version`");
        let problem = Problem::new(&code::CIRCLECI_ORB, at.span, message);
        session.report(problem.hint("versions are 1, 1.2, 1.2.3, volatile and dev:name"));
        return None;
    };
    if session.input.context.limits.includes <= session.parsed().count() {
        session.error(&code::CIRCLECI_ORB, at.span, "too many orbs are used");
        return None;
    }
    let request = Request::Orb {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    match session.ask(request)? {
        Answer::File(file) => {
            let shown = file.path.clone().unwrap_or_else(|| format!("{name}@{version}"));
            let root = read(session, &shown, &file.text)?;
            session.included(root.span.file, at.span);
            let Some(map) = root.as_map() else {
                session.error(&code::CIRCLECI_FORMAT, root.span, "an orb is a map");
                return None;
            };
            Some(package(session, map, Origin::Registry, depth + 1))
        }
        Answer::Refused(Refusal::NotFound) => {
            let message = format!("cannot find {reference} among the orbs: namespace, name or version are not there");
            let hint = "put its source into the folder that TASUKI_CIRCLECI_ORBS names, as `namespace/name/1.2.3.yml`";
            session.report(Problem::new(&code::CIRCLECI_ORB, at.span, message).hint(hint));
            None
        }
        Answer::Refused(refusal) => {
            let message = format!("orb {reference} {}", refusal.explain());
            session.error(&code::CIRCLECI_ORB, at.span, message);
            None
        }
        Answer::Tree(_) | Answer::Changed(_) | Answer::Commits(_) => {
            session.error(
                &code::CIRCLECI_ORB,
                at.span,
                format!("orb {reference} was answered with something else"),
            );
            None
        }
    }
}

/// The version may be a pipeline parameter.
fn parameters_in(session: &Session<'_>, reference: &str, at: &Node) -> Option<String> {
    let Some((before, rest)) = reference.split_once("<<") else {
        return Some(reference.to_owned());
    };
    let (inner, after) = rest.split_once(">>")?;
    let name = inner.trim().strip_prefix("pipeline.parameters.");
    let given = name.and_then(|name| crate::lang::circleci::values::parameter_text(session, name));
    if given.is_none() {
        let message = format!(
            "`{}` cannot be used for an orb: only pipeline parameters can",
            inner.trim()
        );
        session.error(&code::CIRCLECI_INTERPOLATION, at.span, message);
    }
    Some(format!("{before}{}{after}", given?))
}

fn split(reference: &str) -> Option<(&str, &str)> {
    let (name, version) = reference.split_once('@')?;
    let (namespace, orb) = name.split_once('/')?;
    let part = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let numbers: Vec<&str> = version.split('.').collect();
    let tag = |text: &str| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        !text.is_empty() && text.bytes().all(known) && !text.contains("..")
    };
    let good = version == "volatile"
        || version.strip_prefix("dev:").is_some_and(tag)
        || (numbers.len() <= 3 && numbers.iter().all(|part| number(part)));
    (part(namespace) && part(orb) && good).then_some((name, version))
}
