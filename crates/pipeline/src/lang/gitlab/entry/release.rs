//! `release`, `pages`.

use tasuki_model::plan::{Release, ReleaseLink};

use super::artifacts::expire_in;
use super::check::{Check, every, value};
use crate::diag::code;
use crate::yaml::{Node, Value};

const KEYS: &[&str] = &[
    "tag_name",
    "tag_message",
    "name",
    "ref",
    "released_at",
    "milestones",
    "assets",
    "description",
];

pub(super) fn release(check: &mut Check<'_>, node: &Node) -> Option<Release> {
    let map = check.map(node, KEYS)?;
    let tag_name = check.required(map, node.span, "tag_name");
    let description = check.required(map, node.span, "description");
    let release = Release {
        tag_name: check.within("tag_name", |check| check.filled_text(tag_name?))?,
        description: check.within("description", |check| check.filled_text(description?))?,
        tag_message: check.key(map, "tag_message", Check::text),
        name: check.key(map, "name", Check::text),
        git_ref: check.key(map, "ref", Check::text),
        released_at: check.key(map, "released_at", released_at),
        milestones: check
            .key(map, "milestones", Check::string_or_plain_strings)
            .unwrap_or_default(),
        links: check.key(map, "assets", assets).unwrap_or_default(),
    };
    Some(release)
}

fn released_at(check: &mut Check<'_>, node: &Node) -> Option<String> {
    let text = check.text(node)?;
    if !text.contains('$') && text.parse::<jiff::Timestamp>().is_err() && text.parse::<jiff::civil::Date>().is_err() {
        let problem = check.problem(&code::GITLAB_VALUE, node.span, "config must be a valid datetime");
        check.report(problem.hint("write it as ISO 8601, for example `2030-01-31T10:00:00Z`"));
        return None;
    }
    Some(text)
}

fn assets(check: &mut Check<'_>, node: &Node) -> Option<Vec<ReleaseLink>> {
    let map = check.map(node, &["links"])?;
    let links = check.required(map, node.span, "links")?;
    check.within("links", |check| {
        let Value::Seq(items) = value(links) else {
            check.wrong_type(links, "an array of hashes");
            return None;
        };
        if items.is_empty() {
            check.bad_value(links.span, "can't be blank");
            return None;
        }
        let links = items.iter().map(|item| check.within("link", |check| link(check, item)));
        every(links)
    })
}

fn link(check: &mut Check<'_>, node: &Node) -> Option<ReleaseLink> {
    const TYPES: &[(&str, &str)] = &[
        ("other", "other"),
        ("runbook", "runbook"),
        ("image", "image"),
        ("package", "package"),
    ];
    let map = check.map(node, &["name", "url", "filepath", "link_type"])?;
    let name = check.required(map, node.span, "name")?;
    let url = check.required(map, node.span, "url")?;
    Some(ReleaseLink {
        name: check.within("name", |check| check.filled_text(name))?,
        url: check.within("url", |check| check.filled_text(url))?,
        filepath: check.key(map, "filepath", Check::text),
        link_type: check
            .key(map, "link_type", |check, node| check.one_of(node, TYPES))
            .map(str::to_owned),
    })
}

/// `pages` as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct PagesEntry {
    pub(super) enabled: bool,
    pub(super) publish: Option<String>,
    pub(super) path_prefix: Option<String>,
    /// Seconds; 0 = never.
    pub(super) expire_in: Option<u64>,
}

/// What a job publishes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pages {
    pub(crate) folder: String,
    /// With its variables.
    pub(crate) path_prefix: Option<String>,
    /// Seconds; 0 = never.
    pub(crate) expire_in: Option<u64>,
}

pub(super) fn pages(check: &mut Check<'_>, node: &Node) -> Option<PagesEntry> {
    match value(node) {
        Value::Bool(enabled) => Some(PagesEntry {
            enabled,
            ..PagesEntry::default()
        }),
        Value::Map(_) => {
            let map = check.map(node, &["publish", "path_prefix", "expire_in"])?;
            Some(PagesEntry {
                enabled: true,
                publish: check.key(map, "publish", Check::filled_text),
                path_prefix: check.key(map, "path_prefix", Check::text),
                expire_in: check.key(map, "expire_in", expire_in),
            })
        }
        _ => {
            check.wrong_type(node, "a hash or a boolean value");
            None
        }
    }
}
