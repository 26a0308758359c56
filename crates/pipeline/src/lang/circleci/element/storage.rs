//! Steps that keep and fetch files, and those that set up the machine.

use tasuki_model::cache_key;
use tasuki_model::plan::{Step, StepKind, StepWhen};

use super::place;
use super::step::{Sink, step};
use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::yaml::{Map, Node};

const LONGEST_KEY: usize = 900;

impl Compiler<'_, '_> {
    fn arguments<'n>(&self, key: &Node, value: Option<&'n Node>, keys: &[&str]) -> Option<&'n Map> {
        let what = format!("`{}`", key.text().map_or("", |text| text));
        let Some(value) = value else {
            let message = format!("{what} lacks its arguments: {}", super::super::read::listed(keys));
            self.error(&code::CIRCLECI_MISSING_KEY, key.span, message);
            return None;
        };
        let map = self.map(value, &what)?;
        self.only(map, &what, keys);
        Some(map)
    }

    fn step_name(&self, map: &Map) -> Option<String> {
        map.get("name")
            .filter(|node| !is_null(node))
            .and_then(|node| self.text(node, "`name`"))
    }

    fn cache_key(&self, node: &Node) -> Option<String> {
        let text = self.text(node, "`key`")?;
        if is_unknown(node) {
            return Some(text);
        }
        match cache_key::parse(&text) {
            Err(wrong) => self.error(&code::CIRCLECI_CACHE_KEY, node.span, format!("the cache key: {wrong}")),
            Ok(parts) if parts.contains(&cache_key::Part::CheckoutKey) => {
                let message = "`{{ .CheckoutKey }}` is always empty: sources are not fetched with an SSH key";
                self.no_effect(node.span, message);
            }
            Ok(_) => {}
        }
        if text.len() > LONGEST_KEY {
            let message = format!("a cache key has at most {LONGEST_KEY} characters");
            self.error(&code::CIRCLECI_VALUE, node.span, message);
        }
        Some(text)
    }

    pub(super) fn save_cache(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let map = self.arguments(key, value, &["key", "paths", "name", "when", "cache", "description"])?;
        let name = self.required(map, "key", "`save_cache`", key.span);
        let paths = self.required(map, "paths", "`save_cache`", key.span);
        let (name, paths) = (self.cache_key(name?)?, self.paths(paths?, "`paths`", sink));
        let kind = StepKind::SaveCache {
            key: name,
            paths,
            immutable: true,
            template: true,
        };
        Some(Step {
            when: self.when(map),
            ..step(kind, self.step_name(map))
        })
    }

    fn paths(&self, node: &Node, what: &str, sink: &Sink) -> Vec<String> {
        let paths = self
            .texts(node, what)
            .into_iter()
            .map(|(path, _)| place::path(&sink.directory, &path));
        paths.collect()
    }

    pub(super) fn restore_cache(&self, key: &Node, value: Option<&Node>) -> Option<Step> {
        let map = self.arguments(key, value, &["key", "keys", "name", "description"])?;
        let keys: Vec<String> = match (map.get("key"), map.get("keys")) {
            (Some(one), None) => self.cache_key(one).into_iter().collect(),
            (None, Some(all)) => {
                let items = self.seq(all, "`keys`")?;
                items.iter().filter_map(|item| self.cache_key(item)).collect()
            }
            (Some(_), Some(all)) => {
                let message = "`restore_cache` has both `key` and `keys`: keep one of them";
                self.error(&code::CIRCLECI_VALUE, all.span, message);
                return None;
            }
            (None, None) => {
                self.error(
                    &code::CIRCLECI_MISSING_KEY,
                    key.span,
                    "`restore_cache` lacks `key` or `keys`",
                );
                return None;
            }
        };
        let kind = StepKind::RestoreCache {
            keys,
            prefix: true,
            template: true,
            cache: None,
        };
        Some(step(kind, self.step_name(map)))
    }

    pub(super) fn persist(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let map = self.arguments(key, value, &["root", "paths", "name", "description"])?;
        let root = self.required(map, "root", "`persist_to_workspace`", key.span);
        let paths = self.required(map, "paths", "`persist_to_workspace`", key.span);
        let (root, paths) = (self.text(root?, "`root`")?, paths?);
        // Relative to the root, not to the working directory.
        let paths = self.texts(paths, "`paths`");
        let kind = StepKind::PersistWorkspace {
            root: place::path(&sink.directory, &root),
            paths: paths.into_iter().map(|(path, _)| path).collect(),
        };
        Some(step(kind, self.step_name(map)))
    }

    pub(super) fn attach(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let map = self.arguments(key, value, &["at", "name", "description"])?;
        let at = self.required(map, "at", "`attach_workspace`", key.span)?;
        let at = place::path(&sink.directory, &self.text(at, "`at`")?);
        Some(step(StepKind::AttachWorkspace { at }, self.step_name(map)))
    }

    pub(super) fn store_artifacts(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let map = self.arguments(key, value, &["path", "destination", "name", "when", "description"])?;
        let path = self.required(map, "path", "`store_artifacts`", key.span)?;
        let path = place::path(&sink.directory, &self.text(path, "`path`")?);
        let destination = map.get("destination").and_then(|node| self.text(node, "`destination`"));
        let kind = StepKind::StoreArtifacts {
            path: Some(path),
            destination: destination.filter(|name| !name.is_empty()),
            artifacts: None,
        };
        // What a failed job leaves is wanted most.
        Some(Step {
            when: StepWhen::Always,
            ..step(kind, self.step_name(map))
        })
    }

    pub(super) fn store_test_results(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let map = self.arguments(key, value, &["path", "name", "when", "description"])?;
        let path = self.required(map, "path", "`store_test_results`", key.span)?;
        let path = place::path(&sink.directory, &self.text(path, "`path`")?);
        Some(Step {
            when: StepWhen::Always,
            ..step(StepKind::StoreTestResults { path }, self.step_name(map))
        })
    }

    pub(super) fn add_ssh_keys(&self, value: Option<&Node>) -> Option<Step> {
        let (mut fingerprints, mut name) = (Vec::new(), None);
        if let Some(value) = value {
            let map = self.map(value, "`add_ssh_keys`")?;
            self.only(map, "`add_ssh_keys`", &["fingerprints", "name", "description"]);
            name = self.step_name(map);
            if let Some(node) = map.get("fingerprints") {
                let all = self
                    .seq(node, "`fingerprints`")
                    .map(|_| self.texts(node, "`fingerprints`"));
                fingerprints = all.unwrap_or_default().into_iter().map(|(text, _)| text).collect();
            }
        }
        Some(step(StepKind::AddSshKeys { fingerprints }, name))
    }

    pub(super) fn setup_remote_docker(&self, value: Option<&Node>) -> Option<Step> {
        let (mut version, mut name) = (None, None);
        if let Some(value) = value {
            let map = self.map(value, "`setup_remote_docker`")?;
            let keys = [
                "version",
                "docker_layer_caching",
                "prefer_same_region",
                "name",
                "description",
            ];
            self.only(map, "`setup_remote_docker`", &keys);
            name = self.step_name(map);
            version = map.get("version").and_then(|node| self.text(node, "`version`"));
            for key in ["docker_layer_caching", "prefer_same_region"] {
                if let Some(node) = map.get(key)
                    && self.flag(node, format_args!("`{key}`")) == Some(true)
                {
                    self.no_effect(node.span, format!("`{key}` does nothing on runners of your own"));
                }
            }
        }
        Some(step(StepKind::SetupRemoteDocker { version }, name))
    }
}
