//! Pages: what a job left in a folder is shown, from the moment that it has succeeded.
//!
//! It follows the job's state in the transaction that saves it, like deployments do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tasuki_model::graph::NodeIndex;
use tasuki_model::plan::Job;
use tasuki_model::state::Outcome;
use tasuki_model::trigger::Trigger;
use tasuki_store::{artifacts, pages, pipelines, tasks};

use super::entry::{Entry, parse};
use super::error::Error;
use super::op::Op;

/// What a job publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Publishing {
    folder: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expire_in_s: Option<u64>,
}

impl Publishing {
    pub(super) fn of(job: &Job) -> Option<Self> {
        Some(Self {
            folder: job.pages.clone()?,
            prefix: job.pages_prefix.clone().unwrap_or_default(),
            expire_in_s: job.pages_expire_in_s,
        })
    }
}

impl Op<'_, '_> {
    /// A job that publishes pages has another state. What comes from a fork is not shown to people of this project.
    pub(super) fn pages_follow(&mut self, entry: &Entry, node: NodeIndex) -> Result<(), Error> {
        let Some(publishing) = entry.facts[node.at()].pages.as_deref() else {
            return Ok(());
        };
        if entry.graph.state(node).outcome() != Some(&Outcome::Success) {
            return Ok(());
        }
        let details = pipelines::details(self.tx, entry.id)?.ok_or(Error::NotFound {
            what: "pipeline",
            id: entry.id.0,
        })?;
        let trigger: Trigger = parse("trigger of pipeline", entry.id.0, &details.trigger_json)?;
        if trigger.is_from_fork() {
            return Ok(());
        }
        let Some(task) = tasks::of_job(self.tx, entry.job(node))?.pop() else {
            return Ok(());
        };
        let Some(archive) = artifacts::of_kind(self.tx, task.id, "archive")? else {
            return Ok(());
        };
        let expires = publishing
            .expire_in_s
            .map(|seconds| self.now.after(Duration::from_secs(seconds)));
        let (prefix, folder) = (&publishing.prefix, &publishing.folder);
        pages::publish(self.tx, &archive, prefix, folder, expires, self.now)?;
        Ok(())
    }
}
