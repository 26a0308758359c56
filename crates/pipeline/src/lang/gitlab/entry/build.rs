//! What a job runs, and with what.

use std::collections::BTreeMap;

use tasuki_model::plan::{Artifacts, Cache, IdToken, Image, Release, Retry, Service};

use super::check::{Check, value};
use super::defaults::{Defaults, Inheritance};
use super::release::{Pages, pages, release};
use super::script::Lines;
use super::{artifacts, cache, image, inputs, retry, script, tokens};
use crate::diag::code;
use crate::lang::gitlab::expr::Pattern;
use crate::yaml::{Map, Node, Text, Value};

#[derive(Debug, Default)]
pub(crate) struct Build {
    pub(crate) before_script: Option<Lines>,
    pub(crate) script: Option<Lines>,
    pub(crate) after_script: Option<Lines>,
    pub(crate) hooks: Option<Lines>,
    pub(crate) run: Vec<(String, serde_json::Value)>,
    pub(crate) image: Option<Box<Image>>,
    pub(crate) services: Vec<Service>,
    pub(crate) tags: Vec<String>,
    pub(crate) caches: Vec<Cache>,
    pub(crate) artifacts: Option<Box<Artifacts>>,
    pub(crate) coverage: Option<String>,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<u64>,
    pub(crate) release: Option<Box<Release>>,
    pub(crate) id_tokens: Vec<IdToken>,
    pub(crate) secrets: BTreeMap<String, serde_json::Value>,
    pub(crate) pages: Option<Pages>,
}

pub(super) const KEYS: &[&str] = &[
    "tags",
    "script",
    "image",
    "services",
    "start_in",
    "artifacts",
    "cache",
    "dependencies",
    "before_script",
    "after_script",
    "hooks",
    "coverage",
    "retry",
    "timeout",
    "inputs",
    "release",
    "id_tokens",
    "publish",
    "pages",
    "run",
    "secrets",
    "identity",
    "dast_configuration",
    "manual_confirmation",
];
const MAX_TAGS: usize = 50;
/// One month.
const MAX_TIMEOUT: (u64, &str) = (2_592_000, "1 month");

/// Reads the keys that only jobs with a script have.
pub(super) fn build(check: &mut Check<'_>, map: &Map, name: &Text, defaults: &Inheritance<'_>) -> Build {
    for key in ["identity", "dast_configuration"] {
        if let Some((key_node, _)) = map.entry(key).filter(|(_, node)| value(node) != Value::Null) {
            check.unsupported(key_node.span, &format!("`{key}` of a job"));
        }
    }
    let id_tokens = check
        .key(map, "id_tokens", tokens::id_tokens)
        .or_else(|| defaults.of("id_tokens", |d| &d.id_tokens))
        .unwrap_or_default();
    let pages = published(check, map, name);
    let mut artifacts = check
        .key(map, "artifacts", artifacts::artifacts)
        .or_else(|| defaults.of("artifacts", |d| &d.artifacts));
    if let Some(Pages { folder, .. }) = &pages {
        let artifacts = artifacts.get_or_insert_default();
        if !artifacts.paths.contains(folder) {
            artifacts.paths.push(folder.clone());
        }
    }
    let scripted = map.get("run").is_none();
    let lines = |check: &mut Check<'_>, key: &'static str, get: fn(&Defaults) -> &Option<Lines>| {
        let own = check.key(map, key, script::script);
        own.or_else(|| defaults.of(key, get).filter(|_| scripted))
    };
    let mut build = Build {
        before_script: lines(check, "before_script", |d| &d.before_script),
        script: map
            .get("script")
            .and_then(|node| check.within("script", |check| script::filled_script(check, node))),
        after_script: lines(check, "after_script", |d| &d.after_script),
        hooks: check
            .key(map, "hooks", script::hooks)
            .or_else(|| defaults.of("hooks", |d| &d.hooks)),
        run: check.key(map, "run", script::run).unwrap_or_default(),
        image: check
            .key(map, "image", image::image)
            .or_else(|| defaults.of("image", |d| &d.image))
            .map(Box::new),
        services: check
            .key(map, "services", image::services)
            .or_else(|| defaults.of("services", |d| &d.services))
            .unwrap_or_default(),
        tags: check
            .key(map, "tags", tags)
            .or_else(|| defaults.of("tags", |d| &d.tags))
            .unwrap_or_default(),
        caches: check
            .key(map, "cache", cache::caches)
            .or_else(|| defaults.of("cache", |d| &d.cache))
            .unwrap_or_default(),
        artifacts: artifacts.map(Box::new),
        coverage: check.key(map, "coverage", coverage),
        retry: check
            .key(map, "retry", retry::retry)
            .or_else(|| defaults.of("retry", |d| &d.retry))
            .unwrap_or_default(),
        timeout: check.key(map, "timeout", |check, node| check.duration(node, Some(MAX_TIMEOUT))),
        release: check.key(map, "release", release).map(Box::new),
        secrets: check
            .key(map, "secrets", |check, node| tokens::secrets(check, node, &id_tokens))
            .unwrap_or_default(),
        id_tokens,
        pages,
    };
    if let Some(node) = map.get("inputs").filter(|node| value(node) != Value::Null)
        && let Some(declared) = check.within("inputs", |check| inputs::inputs(check, node))
    {
        check.within("inputs", |check| inputs::fill(check, node, &mut build, &declared));
    }
    build
}

/// What a pages job publishes: one with `pages`, or named so.
fn published(check: &mut Check<'_>, map: &Map, name: &Text) -> Option<Pages> {
    let publish = check.key(map, "publish", Check::filled_text);
    let entry = check.key(map, "pages", pages);
    let is_pages = entry.as_ref().map_or(&**name == "pages", |entry| entry.enabled);
    let entry = entry.unwrap_or_default();
    if entry.publish.is_some()
        && let Some((key, _)) = map.entry("publish")
    {
        let text = "config cannot have `publish` beside `pages:publish`";
        check.report(check.problem(&code::GITLAB_EXCLUSIVE_KEYS, key.span, text));
    }
    is_pages.then(|| Pages {
        folder: entry.publish.or(publish).unwrap_or_else(|| "public".to_owned()),
        path_prefix: entry.path_prefix,
        expire_in: entry.expire_in,
    })
}

/// `/…/`, without its slashes. Flags have no effect: GitLab drops the last character, whatever it is.
fn coverage(check: &mut Check<'_>, node: &Node) -> Option<String> {
    let text = check.text(node)?;
    let inner = text.strip_prefix('/').filter(|inner| inner.contains('/'));
    let pattern = inner.and_then(|_| Pattern::from_slashes(&text));
    let Some(inner) = inner.filter(|_| pattern.is_some()) else {
        let problem = check.problem(&code::GITLAB_VALUE, node.span, "config must be a regular expression");
        check.report(problem.hint(if inner.is_none() {
            "put it between slashes: `/Coverage: \\d+/`"
        } else {
            "the syntax is RE2's, with flags of `ismU`: no look-around, no back references"
        }));
        return None;
    };
    let mut chars = inner.chars();
    if chars.next_back() != Some('/') {
        let text = "config has flags, which GitLab drops together with the last slash's place";
        check.report(check.problem(&code::GITLAB_NO_EFFECT, node.span, text));
    }
    Some(chars.as_str().to_owned())
}

/// A comma inside an entry separates tags, unless it is quoted.
pub(super) fn tags(check: &mut Check<'_>, node: &Node) -> Option<Vec<String>> {
    let entries = check.strings(node)?;
    let mut tags: Vec<String> = Vec::new();
    for entry in &entries {
        for tag in split_tag(&entry.text) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    if tags.len() >= MAX_TAGS {
        check.bad_value(node.span, &format!("must be less than the limit of {MAX_TAGS} tags"));
        return None;
    }
    Some(tags)
}

fn split_tag(text: &str) -> Vec<String> {
    let mut tags = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) if tags.last().is_some_and(|tag| tag.trim().is_empty()) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            (',', None) => tags.push(String::new()),
            _ => {
                if let Some(tag) = tags.last_mut() {
                    tag.push(c);
                }
            }
        }
    }
    tags.into_iter()
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect()
}
