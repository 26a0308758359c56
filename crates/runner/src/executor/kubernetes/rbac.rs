//! The rights that a configuration needs, and no more.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::flags::Flags;
use super::settings::Settings;

/// Whom the rights are for.
#[derive(Debug, Clone)]
pub struct Account {
    /// Of the service account, the role and the binding.
    pub name: String,
    /// Where the service account is.
    pub namespace: String,
}

const GROUP: &str = "rbac.authorization.k8s.io";

/// The objects that give a runner with these settings its rights, to be applied by an administrator.
///
/// Rights in the namespace of the pods are a Role; jobs that choose their namespace, or get one of their own, need a
/// ClusterRole, for nobody knows the names before.
#[must_use]
pub fn manifest(settings: &Settings, account: &Account) -> Vec<Value> {
    let everywhere = settings.config.namespace_per_job || !settings.config.namespace_overwrite_allowed.is_empty();
    let meta = |namespace: Option<&str>| ObjectMeta {
        name: Some(account.name.clone()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    };
    let subjects = Some(vec![Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.name.clone(),
        namespace: Some(account.namespace.clone()),
        api_group: None,
    }]);
    let role_ref = |kind: &str| RoleRef {
        api_group: GROUP.to_owned(),
        kind: kind.to_owned(),
        name: account.name.clone(),
    };
    let mut cluster = cluster_rules(settings);
    let mut objects = vec![serde_json::to_value(ServiceAccount {
        metadata: meta(Some(&account.namespace)),
        ..ServiceAccount::default()
    })];
    let rules = rules(settings);
    if everywhere {
        cluster.extend(rules);
    } else {
        objects.push(serde_json::to_value(Role {
            metadata: meta(Some(&settings.namespace)),
            rules: Some(rules),
        }));
        objects.push(serde_json::to_value(RoleBinding {
            metadata: meta(Some(&settings.namespace)),
            role_ref: role_ref("Role"),
            subjects: subjects.clone(),
        }));
    }
    if !cluster.is_empty() {
        objects.push(serde_json::to_value(ClusterRole {
            metadata: meta(None),
            rules: Some(cluster),
            aggregation_rule: None,
        }));
        objects.push(serde_json::to_value(ClusterRoleBinding {
            metadata: meta(None),
            role_ref: role_ref("ClusterRole"),
            subjects,
        }));
    }
    objects.into_iter().flatten().collect()
}

/// Rights in a namespace of pods.
fn rules(settings: &Settings) -> Vec<PolicyRule> {
    let config = &settings.config;
    let Flags {
        honor_entrypoint,
        legacy_exec,
        print_events,
        wait_reachable,
        ..
    } = settings.flags;
    let attach = !legacy_exec;
    let mut rights = Rights::default();
    rights.add("", "pods", &["create", "delete", "get", "list", "watch"]);
    rights.add("", "pods/exec", &["create", "delete", "get", "patch"]);
    if attach {
        rights.add("", "pods/attach", &["create", "delete", "get", "patch"]);
    }
    if honor_entrypoint || attach || wait_reachable {
        rights.add("", "pods/log", &["get"]);
    }
    if honor_entrypoint || attach {
        rights.add("", "pods/log", &["list"]);
    }
    rights.add("", "secrets", &["create", "delete", "get", "update"]);
    rights.add("", "services", &["create", "get"]);
    rights.add("", "serviceaccounts", &["get"]);
    if settings.print_warning_events {
        rights.add("", "events", &["list"]);
    }
    if print_events {
        rights.add("", "events", &["watch"]);
    }
    if config.pod_disruption_budget {
        rights.add("policy", "poddisruptionbudgets", &["create", "delete", "get"]);
    }
    if pauses(settings) {
        rights.add("apps", "deployments", &["create", "delete", "get", "list", "update"]);
    }
    rights.0
}

/// Rights on what is in no namespace.
fn cluster_rules(settings: &Settings) -> Vec<PolicyRule> {
    let mut rights = Rights::default();
    if settings.config.namespace_per_job {
        rights.add("", "namespaces", &["create", "delete"]);
    }
    let own_class = settings
        .config
        .autoscaler
        .as_ref()
        .is_some_and(|autoscaler| autoscaler.pause_pod_priority_class_name.is_empty());
    if pauses(settings) && own_class {
        rights.add("scheduling.k8s.io", "priorityclasses", &["create", "get"]);
    }
    rights.0
}

fn pauses(settings: &Settings) -> bool {
    let autoscaler = settings.config.autoscaler.as_ref();
    autoscaler.is_some_and(|autoscaler| autoscaler.max_pause_pods > 0)
}

#[derive(Default)]
struct Rights(Vec<PolicyRule>);

impl Rights {
    /// Verbs on a resource, beside those that it has.
    fn add(&mut self, group: &str, resource: &str, verbs: &[&str]) {
        let verbs = verbs.iter().map(|&verb| verb.to_owned());
        let same = |rule: &&mut PolicyRule| {
            rule.resources.iter().flatten().any(|one| one == resource)
                && rule.api_groups.iter().flatten().any(|one| one == group)
        };
        match self.0.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(verbs),
            None => self.0.push(PolicyRule {
                api_groups: Some(vec![group.to_owned()]),
                resources: Some(vec![resource.to_owned()]),
                verbs: verbs.collect(),
                ..PolicyRule::default()
            }),
        }
    }
}
