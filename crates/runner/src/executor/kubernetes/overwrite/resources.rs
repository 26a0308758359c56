//! Requests and limits.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;
use tasuki_model::plan::Service;

use super::guard::refused;
use crate::config::kubernetes::{KubernetesConfig, Quantity};
use crate::executor::{Result, Task};

/// Whose resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    Build,
    Helper,
    Service,
    Pod,
}

impl Part {
    /// How names of its keys begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Build => "",
            Self::Helper => "helper_",
            Self::Service => "service_",
            Self::Pod => "pod_",
        }
    }
}

const RESOURCES: [(&str, &str); 3] = [
    ("cpu", "cpu"),
    ("memory", "memory"),
    ("ephemeral_storage", "ephemeral-storage"),
];

/// The configuration's amounts, or the job's where those are within the maximum.
pub(in super::super) fn resources(
    config: &KubernetesConfig,
    part: Part,
    task: &Task,
) -> Result<Option<ResourceRequirements>> {
    of(config, part, |variable| {
        task.variable(variable).unwrap_or_default().to_owned()
    })
}

/// The same for one service, whose own variables go before the job's. `KUBERNETES_CPU_LIMIT` and the like in a service's
/// variables mean that service, as `KUBERNETES_SERVICE_CPU_LIMIT` does.
pub(in super::super) fn service_resources(
    config: &KubernetesConfig,
    service: &Service,
    task: &Task,
) -> Result<Option<ResourceRequirements>> {
    let given = |name: &str| {
        let found = service
            .image
            .variables
            .iter()
            .rev()
            .find(|variable| variable.key == name)?;
        let text = crate::job::expand(&found.value, |name| task.variable(name).unwrap_or_default().to_owned());
        Some(text).filter(|text| !text.is_empty())
    };
    of(config, Part::Service, |variable| {
        given(variable)
            .or_else(|| given(&variable.replacen("_SERVICE_", "_", 1)))
            .unwrap_or_else(|| task.variable(variable).unwrap_or_default().to_owned())
    })
}

fn of(config: &KubernetesConfig, part: Part, wanted: impl Fn(&str) -> String) -> Result<Option<ResourceRequirements>> {
    let keys: BTreeMap<&str, &str> = config.amounts().into_iter().collect();
    let mut lists = [BTreeMap::new(), BTreeMap::new()];
    for (list, kind) in lists.iter_mut().zip(["limit", "request"]) {
        for (resource, name) in RESOURCES {
            let key = format!("{}{resource}_{kind}", part.prefix());
            let Some(own) = keys.get(key.as_str()) else { continue };
            let max = keys
                .get(format!("{key}_overwrite_max_allowed").as_str())
                .copied()
                .unwrap_or_default();
            let variable = format!("KUBERNETES_{}", key.to_uppercase());
            let amount = chosen(&key, own, max, &variable, wanted(&variable))?;
            if !amount.is_empty() {
                list.insert(name.to_owned(), Amount(amount));
            }
        }
    }
    let [limits, requests] = lists;
    let some = |list: BTreeMap<String, Amount>| (!list.is_empty()).then_some(list);
    let (limits, requests) = (some(limits), some(requests));
    Ok(
        (limits.is_some() || requests.is_some()).then_some(ResourceRequirements {
            claims: None,
            limits,
            requests,
        }),
    )
}

/// A job's amount where there is a maximum; without one nobody reads it.
fn chosen(key: &str, own: &str, max: &str, variable: &str, wanted: String) -> Result<String> {
    if wanted.is_empty() || max.is_empty() {
        return Ok(own.to_owned());
    }
    let amount: Quantity = wanted
        .parse()
        .map_err(|error| refused(format!("{variable}: {error}")))?;
    let most: Quantity = max
        .parse()
        .map_err(|error| refused(format!("{key}_overwrite_max_allowed: {error}")))?;
    if amount > most {
        return Err(refused(format!(
            "{variable} = {wanted:?} is not allowed on this runner ({key}_overwrite_max_allowed): the most is {max}"
        )));
    }
    Ok(wanted)
}
