//! What exists beside the pod, and goes with it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};
use tasuki_model::plan::Image;

use super::names::{BUILD, Names};
use super::spec::Made;
use crate::executor::Task;

/// The namespace of one job.
pub(in super::super) fn namespace(name: &str, names: &Names) -> api::Namespace {
    api::Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(names.labels()),
            ..ObjectMeta::default()
        },
        ..api::Namespace::default()
    }
}

/// Registry log-ins of the job: `DOCKER_AUTH_CONFIG` before what the payload brings. Absent where there are none.
pub(in super::super) fn pull_secret(task: &Task, names: &Names, warnings: &mut Vec<String>) -> Option<api::Secret> {
    let mut auths: Map<String, Value> = task
        .registry_logins
        .iter()
        .map(|login| {
            let (user, password) = (&login.user, login.password.expose());
            let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
            (
                login.registry.clone(),
                json!({"username": user, "password": password, "auth": auth}),
            )
        })
        .collect();
    if let Some(text) = task
        .variable("DOCKER_AUTH_CONFIG")
        .filter(|text| !text.trim().is_empty())
    {
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(file)) => {
                if let Some(Value::Object(own)) = file.get("auths") {
                    auths.extend(own.clone());
                }
                if file.contains_key("credsStore") || file.contains_key("credHelpers") {
                    warnings.push(
                        "DOCKER_AUTH_CONFIG names credential helpers: the cluster has none, its `auths` alone are used"
                            .to_owned(),
                    );
                }
            }
            // The text is a secret.
            Ok(_) | Err(_) => {
                warnings.push("DOCKER_AUTH_CONFIG is not a Docker configuration; it is ignored".to_owned());
            }
        }
    }
    if auths.is_empty() {
        return None;
    }
    let file = json!({"auths": auths}).to_string();
    Some(api::Secret {
        metadata: meta(names, &names.pod),
        type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
        data: Some(BTreeMap::from([(
            ".dockerconfigjson".to_owned(),
            ByteString(file.into_bytes()),
        )])),
        ..api::Secret::default()
    })
}

/// One service of the cluster for each container with ports, for a proxy.
pub(in super::super) fn port_services(made: &Made, names: &Names) -> Vec<api::Service> {
    let mut taken = BTreeSet::new();
    made.exposed
        .iter()
        .map(|(container, image)| {
            let short = if container == BUILD { "b" } else { container };
            // The pod's name ends with what is the job's own.
            let own = names.pod.rsplit('-').next().unwrap_or_default();
            let short: String = short.chars().take(40).collect();
            let name = format!("runner-{own}-{}", short.trim_end_matches('-'));
            api::Service {
                metadata: meta(names, &free(name, &mut taken)),
                spec: Some(api::ServiceSpec {
                    selector: Some(names.selector()),
                    ports: Some(service_ports(image)),
                    ..api::ServiceSpec::default()
                }),
                status: None,
            }
        })
        .collect()
}

/// Each number once, and each under a name of its own.
fn service_ports(image: &Image) -> Vec<api::ServicePort> {
    let (mut numbers, mut taken) = (BTreeSet::new(), BTreeSet::new());
    let each = image.ports.iter().filter(|port| numbers.insert(port.number));
    each.map(|port| {
        let name = port.name.clone().unwrap_or_else(|| format!("port-{}", port.number));
        api::ServicePort {
            name: Some(free(name, &mut taken)),
            port: i32::from(port.number),
            target_port: Some(IntOrString::Int(i32::from(port.number))),
            ..api::ServicePort::default()
        }
    })
    .collect()
}

/// The name, or where it is taken the name with the first number that is not.
fn free(name: String, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered);
    let free = candidates.find(|candidate| !taken.contains(candidate)).unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// Keeps the pod through drains of its node.
pub(in super::super) fn disruption_budget(names: &Names) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta(names, &format!("{}-pdb", names.pod)),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(names.selector()),
                match_expressions: None,
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn meta(names: &Names, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(names.labels()),
        ..ObjectMeta::default()
    }
}
