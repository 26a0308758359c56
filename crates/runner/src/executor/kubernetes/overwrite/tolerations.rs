//! Taints of nodes that a pod stands.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;

use super::super::settings::Settings;
use crate::executor::{Result, Task};

/// Tolerations of the configuration and of the job; a job's replaces one with the same key and value.
pub(in super::super) fn tolerations(settings: &Settings, task: &Task) -> Result<Vec<Toleration>> {
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, effect) in &settings.config.node_tolerations {
        all.insert(key, effect);
    }
    for (_, value) in settings.guards.tolerations.all("KUBERNETES_NODE_TOLERATIONS_", task)? {
        let (key, effect) = value.split_once(':').unwrap_or((value, ""));
        all.insert(key, effect);
    }
    Ok(all.into_iter().map(|(key, effect)| toleration(key, effect)).collect())
}

/// `key` stands any value, `key=value` that one, the empty key everything.
fn toleration(text: &str, effect: &str) -> Toleration {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (key, operator, value) = match text.split_once('=') {
        Some((key, value)) => (key, "Equal", some(value)),
        None => (text, "Exists", None),
    };
    Toleration {
        key: some(key),
        operator: Some(operator.to_owned()),
        value,
        effect: some(effect),
        toleration_seconds: None,
    }
}
