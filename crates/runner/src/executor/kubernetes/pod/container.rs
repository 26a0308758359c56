//! One container.

use k8s_openapi::api::core::v1 as api;
use tasuki_model::plan::{Image, PullPolicy};

use crate::executor::Task;

/// Variables that the container itself has: everybody who can look at the pod sees them. A `$` is doubled, for the
/// cluster would put other variables in.
pub(super) fn env(image: &Image, task: &Task) -> Option<Vec<api::EnvVar>> {
    let own = image.variables.iter().map(|variable| {
        let value = if variable.raw {
            variable.value.clone()
        } else {
            crate::job::expand(&variable.value, |name| {
                task.variable(name).unwrap_or_default().to_owned()
            })
        };
        (variable.key.clone(), value)
    });
    let mut all: Vec<api::EnvVar> = Vec::new();
    for (name, value) in task.public_variables.iter().cloned().chain(own) {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            continue;
        }
        all.retain(|earlier| earlier.name != name);
        all.push(api::EnvVar {
            name,
            value: Some(value.replace('$', "$$")),
            value_from: None,
        });
    }
    (!all.is_empty()).then_some(all)
}

/// Ports that a proxy reaches.
pub(super) fn ports(image: &Image) -> Option<Vec<api::ContainerPort>> {
    let ports: Vec<api::ContainerPort> = image
        .ports
        .iter()
        .map(|port| api::ContainerPort {
            container_port: i32::from(port.number),
            ..api::ContainerPort::default()
        })
        .collect();
    (!ports.is_empty()).then_some(ports)
}

/// The cluster's word; absent leaves the choice to the cluster.
pub(in super::super) fn pull_policy(policy: Option<PullPolicy>) -> Option<String> {
    let word = match policy? {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    };
    Some(word.to_owned())
}
