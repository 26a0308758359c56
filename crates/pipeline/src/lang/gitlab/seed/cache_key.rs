//! Cache keys made from files.

use sha1::{Digest as _, Sha1};
use tasuki_model::plan::{Cache, CacheKey};

use super::facts::Facts;
use crate::lang::gitlab::load::wildcard;
use crate::yaml::Span;

/// The cache with its key as a text. `index` is its place among the caches of the job.
pub(super) fn resolved(cache: &Cache, index: usize, facts: &Facts<'_>, span: Span) -> Cache {
    let mut cache = cache.clone();
    if let CacheKey::Files { files, prefix, commits } = &cache.key {
        let ids = if *commits {
            commit_ids(files, facts, span)
        } else {
            blob_ids(files, facts, span)
        };
        let digest = digest(ids);
        let prefix = prefix.clone().unwrap_or_else(|| default_prefix(index, files));
        let key = if prefix.is_empty() {
            digest
        } else {
            format!("{prefix}-{digest}")
        };
        cache.key = CacheKey::Text(key);
    }
    cache
}

/// SHA-1 over the sorted unique ids, so that the order of the files makes no difference; `default` where there is
/// no file.
fn digest(mut ids: Vec<String>) -> String {
    if ids.is_empty() {
        return "default".to_owned();
    }
    ids.sort_unstable();
    ids.dedup();
    let sum = Sha1::digest(ids.join("-").as_bytes());
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `0_Gemfile_package`: index and the names of the files up to their first dot.
fn default_prefix(index: usize, files: &[String]) -> String {
    let names: Vec<&str> = files
        .iter()
        .map(|path| path.rsplit('/').next().unwrap_or(path))
        .map(|name| name.split('.').find(|part| !part.is_empty()).unwrap_or(name))
        .collect();
    format!("{index}_{}", names.join("_"))
}

fn blob_ids(files: &[String], facts: &Facts<'_>, span: Span) -> Vec<String> {
    let Some(tree) = facts.files(span) else {
        return Vec::new();
    };
    let mut ids = Vec::new();
    for path in paths(files, &tree) {
        ids.extend(tree.blob(&path).map(str::to_owned));
    }
    ids
}

fn commit_ids(files: &[String], facts: &Facts<'_>, span: Span) -> Vec<String> {
    let has_glob = files.iter().any(|path| wildcard::is_wildcard(path));
    let paths = if has_glob {
        match facts.files(span) {
            Some(tree) => paths(files, &tree),
            None => return Vec::new(),
        }
    } else {
        files.to_vec()
    };
    facts.last_commits(paths, span)
}

/// Plain paths as they are, patterns as the files that they match. `**` goes into folders here, as in
/// `include:local`.
fn paths(files: &[String], tree: &crate::Tree) -> Vec<String> {
    let mut out = Vec::new();
    for file in files {
        let file = file.trim_start_matches('/');
        if !wildcard::is_wildcard(file) {
            out.push(file.to_owned());
            continue;
        }
        if let Some(pattern) = wildcard::pattern(file) {
            out.extend(
                tree.files()
                    .map(|(path, _)| path)
                    .filter(|path| pattern.is_match(path))
                    .map(str::to_owned),
            );
        }
    }
    out
}
