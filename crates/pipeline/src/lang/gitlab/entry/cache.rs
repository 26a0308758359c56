//! `cache`.

use tasuki_model::plan::{Cache, CacheKey, CachePolicy, UploadWhen};

use super::check::{Check, every, value};
use crate::diag::code;
use crate::yaml::{Map, Node, Value};

const KEYS: &[&str] = &[
    "key",
    "paths",
    "untracked",
    "unprotect",
    "when",
    "policy",
    "fallback_keys",
];
const MAX_CACHES: usize = 4;
const MAX_FALLBACK_KEYS: usize = 5;
const MAX_KEY_FILES: usize = 2;

/// The words of `when` of caches and artifacts.
pub(super) const UPLOAD_WHEN: &[(&str, UploadWhen)] = &[
    ("on_success", UploadWhen::OnSuccess),
    ("on_failure", UploadWhen::OnFailure),
    ("always", UploadWhen::Always),
];

/// One cache or up to four; an empty list or map disables caching.
pub(super) fn caches(check: &mut Check<'_>, node: &Node) -> Option<Vec<Cache>> {
    match value(node) {
        Value::Map(map) if map.is_empty() => Some(Vec::new()),
        Value::Map(_) => Some(vec![cache(check, node)?]),
        Value::Seq(_) => {
            let items = check.flat(node)?;
            if let Some(fifth) = items.get(MAX_CACHES) {
                check.bad_value(fifth.span, &format!("no more than {MAX_CACHES} caches can be created"));
            }
            every(items.into_iter().map(|item| cache(check, item)))
        }
        _ => {
            check.wrong_type(node, "a map or an array of maps");
            None
        }
    }
}

fn cache(check: &mut Check<'_>, node: &Node) -> Option<Cache> {
    let map = check.map(node, KEYS)?;
    let default = || CacheKey::Text("default".to_owned());
    Some(Cache {
        key: check.key(map, "key", key).unwrap_or_else(default),
        fallback_keys: check.key(map, "fallback_keys", fallback_keys).unwrap_or_default(),
        paths: check.key(map, "paths", Check::plain_strings).unwrap_or_default(),
        untracked: check.key(map, "untracked", Check::boolean).unwrap_or(false),
        unprotect: check.key(map, "unprotect", Check::boolean).unwrap_or(false),
        policy: check.key(map, "policy", policy).unwrap_or(CachePolicy::PullPush),
        when: check
            .key(map, "when", |check, node| check.one_of(node, UPLOAD_WHEN))
            .unwrap_or_default(),
    })
}

fn key(check: &mut Check<'_>, node: &Node) -> Option<CacheKey> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => Some(CacheKey::Text(key_text(check, node)?)),
        Value::Map(map) => {
            check.known_keys(map, &["files", "files_commits", "prefix"]);
            files_key(check, node, map)
        }
        _ => {
            check.wrong_type(node, "a hash, a string or a symbol");
            None
        }
    }
}

fn key_text(check: &mut Check<'_>, node: &Node) -> Option<String> {
    let text = check.text(node)?;
    if text.contains('/') || text.to_lowercase().contains("%2f") {
        let problem = check.problem(
            &code::GITLAB_VALUE,
            node.span,
            "config key cannot contain the \"/\" character (or its encoded form %2F)",
        );
        check.report(problem.hint("use `-` instead; `$CI_COMMIT_REF_SLUG` is the branch name without slashes"));
        return None;
    }
    if matches!(text.as_str(), "." | ".." | "%2E" | "%2e" | "%2E%2E" | "%2e%2e") {
        check.bad_value(node.span, "key cannot be \".\" or \"..\"");
        return None;
    }
    Some(text)
}

fn files_key(check: &mut Check<'_>, node: &Node, map: &Map) -> Option<CacheKey> {
    let commits = match (map.get("files"), map.get("files_commits")) {
        (Some(_), None) => false,
        (None, Some(_)) => true,
        (None, None) | (Some(_), Some(_)) => {
            check.bad_value(node.span, "must use exactly one of these keys: files, files_commits");
            return None;
        }
    };
    let files = check.key(map, if commits { "files_commits" } else { "files" }, |check, node| {
        let files = check.strings(node)?;
        match files.get(MAX_KEY_FILES) {
            Some(third) => check.bad_value(third.span, "has too many items (maximum is 2)"),
            None if files.is_empty() => check.bad_value(node.span, "requires at least 1 item"),
            None => return Some(files),
        }
        None
    })?;
    Some(CacheKey::Files {
        files: files.into_iter().map(|file| file.text).collect(),
        prefix: check.key(map, "prefix", key_text),
        commits,
    })
}

fn fallback_keys(check: &mut Check<'_>, node: &Node) -> Option<Vec<String>> {
    let keys = check.strings(node)?;
    if let Some(sixth) = keys.get(MAX_FALLBACK_KEYS) {
        check.bad_value(
            sixth.span,
            &format!("has too many items (maximum is {MAX_FALLBACK_KEYS})"),
        );
    }
    Some(keys.into_iter().map(|key| key.text).collect())
}

fn policy(check: &mut Check<'_>, node: &Node) -> Option<CachePolicy> {
    if let Some(text) = check.text(node).filter(|text| text.contains('$')) {
        return Some(CachePolicy::Variable(text));
    }
    let known: &[(&str, u8)] = &[("pull-push", 0), ("pull", 1), ("push", 2)];
    if !matches!(value(node), Value::Text(_) | Value::Symbol(_)) {
        return None;
    }
    Some(match check.one_of(node, known)? {
        0 => CachePolicy::PullPush,
        1 => CachePolicy::Pull,
        _ => CachePolicy::Push,
    })
}
