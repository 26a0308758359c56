//! Names, labels and annotations.

use std::collections::BTreeMap;

use super::super::names::SANDBOX;
use super::super::settings::Settings;
use crate::config::show_duration;
use crate::executor::{Result, Task};

/// Container of the job's scripts.
pub(in super::super) const BUILD: &str = "build";
/// Container of sources, caches and artifacts.
pub(in super::super) const HELPER: &str = "helper";
/// The container that runs before all others.
pub(in super::super) const INIT: &str = "init-permissions";

/// On everything of one runner's process.
const MANAGER: &str = "tasuki.dev/manager";

/// The longest base of a pod's name: a dash and eight characters come after.
const MOST_OF_BASE: usize = 54;
/// The longest value of a label.
const MOST_OF_LABEL: usize = 63;

/// What everything of a task is called.
#[derive(Debug, Clone)]
pub(in super::super) struct Names {
    /// The same for every job of the slot.
    pub(super) project: String,
    /// Of the pod, and of what goes with it.
    pub(in super::super) pod: String,
    /// The two labels by which what is ours is found again.
    own: [(String, String); 2],
}

impl Names {
    pub(in super::super) fn new(task: &Task, sandbox: &str, manager: &str, suffix: &str) -> Self {
        let project = format!(
            "runner-{}-project-{}-concurrent-{}",
            task.runner_short_token, task.project_id, task.concurrent_project_id
        );
        let base: String = crate::executor::reference::safe(&project)
            .chars()
            .take(MOST_OF_BASE)
            .collect();
        Self {
            project,
            pod: format!("{}-{suffix}", base.trim_end_matches('-')),
            own: [
                (SANDBOX.to_owned(), label_value(sandbox)),
                (MANAGER.to_owned(), label_value(manager)),
            ],
        }
    }

    /// Labels of everything but the pod.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.own.iter().cloned().collect()
    }

    /// What selects the pod alone.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        self.own.iter().take(1).cloned().collect()
    }

    /// Labels of the pod: ours last, so that nobody sets them.
    pub(super) fn pod_labels(&self, settings: &Settings, task: &Task) -> Result<BTreeMap<String, String>> {
        let labels = super::super::overwrite::labels(settings, task)?;
        let mut labels: BTreeMap<_, _> = labels
            .into_iter()
            .map(|(key, value)| (key, label_value(&value)))
            .collect();
        let origin = &task.origin;
        let namespace = origin
            .project_path
            .rsplit_once('/')
            .map_or("", |(namespace, _)| namespace);
        let root = namespace.split('/').next().unwrap_or_default();
        let id = |id: i64| if id == 0 { String::new() } else { id.to_string() };
        for (key, value) in [
            ("project.runner.gitlab.com/id", task.project_id.to_string()),
            ("project.runner.gitlab.com/name", origin.project_name.clone()),
            ("project.runner.gitlab.com/namespace-id", id(origin.namespace_id)),
            ("project.runner.gitlab.com/namespace", namespace.to_owned()),
            ("project.runner.gitlab.com/root-namespace", root.to_owned()),
            (
                "project.runner.gitlab.com/root-namespace-id",
                id(origin.root_namespace_id),
            ),
            ("manager.runner.gitlab.com/name", settings.runner_name.clone()),
            ("manager.runner.gitlab.com/id-short", task.runner_short_token.clone()),
            ("job.runner.gitlab.com/pod", self.project.clone()),
            ("pod", self.project.clone()),
        ] {
            // An id that nobody knows is no label.
            if !value.is_empty() {
                labels.insert(key.to_owned(), label_value(&value));
            }
        }
        labels.extend(self.own.iter().cloned());
        Ok(labels)
    }
}

/// Annotations of the pod: the configuration's and the job's over the runner's.
pub(super) fn annotations(settings: &Settings, task: &Task) -> Result<BTreeMap<String, String>> {
    let variable = |key: &str| task.variable(key).unwrap_or_default().to_owned();
    let mut all: BTreeMap<String, String> = [
        ("job.runner.gitlab.com/id", task.id.to_string()),
        ("job.runner.gitlab.com/url", variable("CI_JOB_URL")),
        ("job.runner.gitlab.com/sha", variable("CI_COMMIT_SHA")),
        ("job.runner.gitlab.com/before_sha", variable("CI_COMMIT_BEFORE_SHA")),
        ("job.runner.gitlab.com/ref", variable("CI_COMMIT_REF_NAME")),
        ("job.runner.gitlab.com/name", task.origin.job_name.clone()),
        ("job.runner.gitlab.com/timeout", show_duration(task.timeout)),
        ("project.runner.gitlab.com/id", task.project_id.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    all.extend(super::super::overwrite::annotations(settings, task)?);
    Ok(all)
}

/// Text as a label's value: other characters as `_`, letters or digits at both ends, at most 63.
fn label_value(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '_'
        }
    };
    let ends = ['-', '_', '.'];
    let clean: String = text.chars().map(plain).collect();
    let short: String = clean.trim_matches(ends).chars().take(MOST_OF_LABEL).collect();
    short.trim_matches(ends).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_what_a_cluster_takes() {
        for (text, wanted) in [
            ("group/sub group", "group_sub_group"),
            ("--a.b_c--", "a.b_c"),
            ("/x/", "x"),
            ("ä", ""),
            ("", ""),
            (&"x".repeat(70), &"x".repeat(63)),
            (&format!("{}-{}", "x".repeat(62), "y"), &"x".repeat(62)),
        ] {
            assert_eq!(label_value(text), wanted, "{text}");
        }
    }
}
