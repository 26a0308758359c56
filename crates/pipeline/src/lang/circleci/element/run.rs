//! `run` and `checkout`.

use tasuki_model::plan::{Step, StepKind, StepWhen};

use super::place;
use super::step::{Sink, step};
use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::duration;
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::yaml::{Map, Node};

const KEYS: [&str; 11] = [
    "command",
    "name",
    "shell",
    "environment",
    "background",
    "working_directory",
    "no_output_timeout",
    "when",
    "max_auto_reruns",
    "auto_rerun_delay",
    "description",
];

/// A step that prints nothing for this long is ended.
const SILENCE_S: u64 = 600;
const LONGEST_DELAY_S: u64 = 600;

impl Compiler<'_, '_> {
    pub(super) fn run(&self, key: &Node, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let Some(value) = value else {
            self.error(&code::CIRCLECI_MISSING_KEY, key.span, "`run` lacks the command");
            return None;
        };
        let Some(map) = value.as_map() else {
            let command = self.text(value, "`run`")?;
            let mut plain = step(run_kind(command, sink, None, None), None);
            plain.no_output_timeout_s = Some(SILENCE_S);
            return Some(plain);
        };
        self.only(map, "`run`", &KEYS);
        let command = self.required(map, "command", "`run`", key.span)?;
        let command = self.text(command, "`command`")?;
        let text = |key: &str| {
            let node = map.get(key).filter(|node| !is_null(node))?;
            self.text(node, format_args!("`{key}` of `run`"))
                .filter(|text| !text.is_empty())
        };
        let kind = run_kind(command, sink, text("shell"), text("working_directory"));
        let mut made = step(kind, text("name"));
        if let Some(node) = map.get("environment") {
            made.env = self.environment(node, "`run`").into_iter().collect();
        }
        made.background = map.get("background").and_then(|node| self.flag(node, "`background`")) == Some(true);
        made.no_output_timeout_s = Some(self.duration_of(map, "no_output_timeout").unwrap_or(SILENCE_S));
        made.when = self.when(map);
        self.reruns(map, &mut made);
        Some(made)
    }

    fn reruns(&self, map: &Map, step: &mut Step) {
        if let Some(node) = map.get("max_auto_reruns") {
            let reruns = self.integer(node, "`max_auto_reruns`", 1, 5);
            step.max_reruns = reruns.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
            if step.background {
                let message = "`max_auto_reruns` cannot be used with `background`";
                self.error(&code::CIRCLECI_VALUE, node.span, message);
            }
        }
        if let Some(node) = map.get("auto_rerun_delay") {
            step.rerun_delay_s = self.duration_of(map, "auto_rerun_delay");
            if step.rerun_delay_s.is_some_and(|seconds| seconds > LONGEST_DELAY_S) {
                self.error(&code::CIRCLECI_VALUE, node.span, "`auto_rerun_delay` is at most 10m");
            }
            if map.get("max_auto_reruns").is_none() {
                let message = "`auto_rerun_delay` does nothing without `max_auto_reruns`";
                self.no_effect(node.span, message);
            }
        }
    }

    fn duration_of(&self, map: &Map, key: &str) -> Option<u64> {
        let node = map.get(key).filter(|node| !is_null(node))?;
        let text = self.text(node, format_args!("`{key}`"))?;
        if is_unknown(node) {
            return None;
        }
        let seconds = duration::parse(&text);
        if seconds.is_none() {
            let message = format!("`{key}` is a duration such as 20m, 1h30m or 90s, not `{text}`");
            self.error(&code::CIRCLECI_VALUE, node.span, message);
        }
        seconds
    }

    /// `when` of a step.
    pub(super) fn when(&self, map: &Map) -> StepWhen {
        let word = map
            .get("when")
            .and_then(|node| self.one_of(node, "`when`", &["always", "on_success", "on_fail"]));
        match word.as_deref() {
            Some("always") => StepWhen::Always,
            Some("on_fail") => StepWhen::OnFailure,
            _ => StepWhen::OnSuccess,
        }
    }

    pub(super) fn checkout(&self, value: Option<&Node>, sink: &Sink) -> Option<Step> {
        let (mut path, mut method, mut depth, mut name) = (None, None, None, None);
        if let Some(value) = value {
            let map = self.map(value, "`checkout`")?;
            self.only(map, "`checkout`", &["path", "method", "depth", "name"]);
            path = map
                .get("path")
                .and_then(|node| self.text(node, "`path`"))
                .filter(|path| !path.is_empty());
            name = map.get("name").and_then(|node| self.text(node, "`name`"));
            let methods = ["blobless", "full", "shallow"];
            method = map
                .get("method")
                .and_then(|node| self.one_of(node, "`method`", &methods));
            if let Some(node) = map.get("depth") {
                let number = self.integer(node, "`depth`", 1, i64::from(u32::MAX));
                depth = number.and_then(|number| u32::try_from(number).ok());
                if method.as_deref() != Some("shallow") {
                    self.no_effect(node.span, "`depth` counts only with `method: shallow`");
                    depth = None;
                }
            }
        }
        let path = match path {
            Some(path) => place::path(&sink.directory, &path),
            None => sink.directory.clone(),
        };
        let path = Some(path).filter(|path| path != ".");
        Some(step(StepKind::Checkout { path, depth, method }, name))
    }
}

fn run_kind(command: String, sink: &Sink, shell: Option<String>, directory: Option<String>) -> StepKind {
    let directory = match directory {
        Some(directory) => place::path(&sink.directory, &directory),
        None => sink.directory.clone(),
    };
    StepKind::Run {
        command,
        lines: Vec::new(),
        shell: shell.or_else(|| sink.shell.clone()),
        directory: Some(directory).filter(|directory| directory != "."),
    }
}
