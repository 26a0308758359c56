//! Labels, annotations and node selectors: maps that jobs add to.

use std::collections::BTreeMap;

use super::super::settings::Settings;
use super::guard::{Guard, refused};
use crate::executor::{Result, Task};

/// Where our own labels are. Nobody else writes there.
const OWN: &str = "tasuki.dev/";

/// Labels of the configuration and of the job.
pub(in super::super) fn labels(settings: &Settings, task: &Task) -> Result<BTreeMap<String, String>> {
    let mut labels = expanded(&settings.config.pod_labels, task);
    labels.extend(pairs(&settings.guards.labels, "KUBERNETES_POD_LABELS_", task)?);
    labels.retain(|key, _| {
        let kept = !own_label(key);
        if !kept {
            tracing::debug!(label = key, "a label of the runner's own cannot be set; it is ignored");
        }
        kept
    });
    Ok(labels)
}

/// Annotations of the configuration and of the job.
pub(in super::super) fn annotations(settings: &Settings, task: &Task) -> Result<BTreeMap<String, String>> {
    let mut annotations = expanded(&settings.config.pod_annotations, task);
    annotations.extend(pairs(
        &settings.guards.annotations,
        "KUBERNETES_POD_ANNOTATIONS_",
        task,
    )?);
    Ok(annotations)
}

/// Node labels of the configuration and of the job.
pub(in super::super) fn node_selector(settings: &Settings, task: &Task) -> Result<BTreeMap<String, String>> {
    let mut selector = settings.config.node_selector.clone();
    selector.extend(pairs(
        &settings.guards.node_selector,
        "KUBERNETES_NODE_SELECTOR_",
        task,
    )?);
    Ok(selector)
}

/// Whether a label is the runner's: in GitLab's namespace for runners or one below it, in ours, or `pod`.
fn own_label(key: &str) -> bool {
    let (namespace, _) = key.split_once('/').unwrap_or((key, ""));
    let namespace = namespace.to_ascii_lowercase();
    namespace == "runner.gitlab.com"
        || namespace.ends_with(".runner.gitlab.com")
        || key.starts_with(OWN)
        || key == "pod"
}

fn expanded(map: &BTreeMap<String, String>, task: &Task) -> BTreeMap<String, String> {
    let expand = |text: &str| crate::job::expand(text, |name| task.variable(name).unwrap_or_default().to_owned());
    map.iter().map(|(key, value)| (key.clone(), expand(value))).collect()
}

fn pairs(guard: &Guard, prefix: &str, task: &Task) -> Result<Vec<(String, String)>> {
    let named = guard.all(prefix, task)?;
    named
        .into_iter()
        .map(|(variable, value)| match value.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(refused(format!(
                "{variable} = {value:?} has no `=`: write it as key=value"
            ))),
        })
        .collect()
}
