//! `triggers` of a workflow: it runs in scheduled pipelines only.

use tasuki_model::trigger::Source;

use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node};

use super::workflows::is_plain;

impl Compiler<'_, '_> {
    /// Whether the schedule of a workflow lets it run in this pipeline; true without one.
    pub(super) fn is_scheduled(&self, map: &Map, what: &str) -> bool {
        let Some((key, node)) = map.entry("triggers") else {
            return true;
        };
        let Some(items) = self.seq(node, format_args!("`triggers` of {what}")) else {
            return false;
        };
        let mut kept = false;
        for item in items.iter() {
            kept |= self.schedule(item, what);
        }
        let message =
            format!("{what} runs in scheduled pipelines only; its `cron` starts none: make a schedule of the project");
        self.no_effect(key.span, message);
        let trigger = &self.session.input.context.trigger;
        kept && trigger.origin.unwrap_or(trigger.source) == Source::Schedule
    }

    fn schedule(&self, node: &Node, what: &str) -> bool {
        let here = format!("`triggers` of {what}");
        let Some(map) = self.map(node, format_args!("each of {here}")) else {
            return false;
        };
        self.only(map, &here, &["schedule"]);
        let Some(schedule) = self.required(map, "schedule", &here, node.span) else {
            return false;
        };
        let Some(map) = self.map(schedule, "`schedule`") else {
            return false;
        };
        self.only(map, "`schedule`", &["cron", "filters"]);
        if let Some(cron) = self.required(map, "cron", "`schedule`", schedule.span)
            && let Some(text) = self.text(cron, "`cron`")
            && !text.contains("<<")
            && text.split_whitespace().count() != 5
        {
            let quotes = if is_plain(cron) {
                " (quotes help where it begins with `*`)"
            } else {
                ""
            };
            let message = format!("`cron` has five fields, not `{text}`{quotes}");
            self.error(&code::CIRCLECI_VALUE, cron.span, message);
        }
        let filters = self.required(map, "filters", "`schedule`", schedule.span);
        let scope = Scope {
            package: std::rc::Rc::clone(&self.nowhere),
            parameters: None,
            matrix: None,
            sight: crate::lang::circleci::scope::Sight::Pipeline,
            what: what.to_owned(),
            depth: 0,
            calls: None,
        };
        filters.is_some_and(|filters| self.keeps(Some(filters), &scope, "`schedule`"))
    }
}
