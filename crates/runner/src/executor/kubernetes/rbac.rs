//! The rights that a configuration needs, and no more.
//!
//! Fewer than GitLab's runner asks for: nobody attaches to a pod, or reads its log without need, for the guest is talked to by `exec`; what is
//! made for a pod goes with it. `get` beside `create` is for answers that were lost: what is there already is looked at.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::rights::Right;
use super::settings::Settings;

/// Whom the rights are for.
#[derive(Debug, Clone)]
pub struct Account {
    /// Of the service account, the role and the binding.
    pub name: String,
    /// Where the service account is.
    pub namespace: String,
}

/// What the rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Running jobs, and removing what an earlier life of the runner left.
    #[default]
    Jobs,
    /// Also listing what there is of jobs: `runner sweep --check`.
    JobsAndAudit,
}

const GROUP: &str = "rbac.authorization.k8s.io";

/// The objects that give a runner with these settings its rights, to be applied by an administrator.
///
/// Rights in the namespace of the pods are a Role; jobs that choose their namespace, or get one of their own, need a
/// ClusterRole, for nobody knows the names before.
#[must_use]
pub fn manifest(settings: &Settings, account: &Account, purpose: Purpose) -> Vec<Value> {
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
    let mut cluster = cluster_rules(settings, purpose);
    let mut objects = vec![serde_json::to_value(ServiceAccount {
        metadata: meta(Some(&account.namespace)),
        ..ServiceAccount::default()
    })];
    let rules = rules(settings, purpose);
    if everywhere(settings) {
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

/// What a runner with these settings needs to run jobs, one by one.
pub(super) fn rights(settings: &Settings) -> Vec<Right> {
    let place = (!everywhere(settings)).then(|| settings.namespace.clone());
    let here = rules(settings, Purpose::Jobs)
        .into_iter()
        .map(|rule| (rule, place.clone()));
    let cluster = cluster_rules(settings, Purpose::Jobs)
        .into_iter()
        .map(|rule| (rule, None));
    let mut all = Vec::new();
    for (rule, namespace) in cluster.chain(here) {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                all.extend(rule.verbs.iter().map(|verb| Right {
                    verb: verb.clone(),
                    resource: resource.clone(),
                    group: group.clone(),
                    namespace: namespace.clone(),
                }));
            }
        }
    }
    all
}

/// Rights in a namespace of pods.
fn rules(settings: &Settings, purpose: Purpose) -> Vec<PolicyRule> {
    let config = &settings.config;
    let mut rights = Rights::default();
    // A watch of one pod by its name, from the version that its making gave: nobody lists pods.
    rights.add("", "pods", &["create", "delete", "get", "watch"]);
    // Everything that happens in a pod goes this way; both verbs, for clusters differ in which one they ask for.
    rights.add("", "pods/exec", &["create", "get"]);
    if !config.use_service_account_image_pull_secrets {
        rights.add("", "secrets", &["create", "delete", "get", "update"]);
    }
    rights.add("", "services", &["create", "get"]);
    if settings.availability_attempts > 0 {
        rights.add("", "serviceaccounts", &["get"]);
        rights.add("", "secrets", &["get"]);
    }
    if settings.print_warning_events {
        rights.add("", "events", &["list"]);
    }
    if settings.flags.print_pod_events {
        rights.add("", "events", &["watch"]);
    }
    if settings.flags.honor_entrypoint {
        // What an entry point prints before it hands over is heard nowhere else.
        rights.add("", "pods/log", &["get"]);
    }
    if config.pod_disruption_budget {
        rights.add("policy", "poddisruptionbudgets", &["create", "get"]);
    }
    if keeps_pause_pods(settings) {
        rights.add("apps", "deployments", &["create", "delete", "get", "list", "update"]);
    }
    if purpose == Purpose::JobsAndAudit {
        for resource in ["pods", "secrets", "services", "configmaps"] {
            rights.add("", resource, &["list"]);
        }
        rights.add("policy", "poddisruptionbudgets", &["list"]);
    }
    rights.0
}

/// Rights on what is in no namespace.
fn cluster_rules(settings: &Settings, purpose: Purpose) -> Vec<PolicyRule> {
    let config = &settings.config;
    let mut rights = Rights::default();
    if config.namespace_per_job {
        rights.add("", "namespaces", &["create", "delete", "get"]);
    }
    let autoscaler = config.autoscaler.as_ref();
    if keeps_pause_pods(settings) && autoscaler.is_some_and(|one| one.pause_pod_priority_class_name.is_empty()) {
        rights.add("scheduling.k8s.io", "priorityclasses", &["create", "get"]);
    }
    if everywhere(settings) && purpose == Purpose::JobsAndAudit {
        rights.add("", "namespaces", &["list"]);
    }
    rights.0
}

fn keeps_pause_pods(settings: &Settings) -> bool {
    let autoscaler = settings.config.autoscaler.as_ref();
    autoscaler.is_some_and(|autoscaler| autoscaler.max_pause_pods > 0)
}

/// Whether nobody knows the namespaces of pods beforehand.
fn everywhere(settings: &Settings) -> bool {
    settings.config.namespace_per_job || !settings.config.namespace_overwrite_allowed.is_empty()
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
            Some(rule) => {
                for verb in verbs {
                    if !rule.verbs.contains(&verb) {
                        rule.verbs.push(verb);
                    }
                }
            }
            None => self.0.push(PolicyRule {
                api_groups: Some(vec![group.to_owned()]),
                resources: Some(vec![resource.to_owned()]),
                verbs: verbs.collect(),
                ..PolicyRule::default()
            }),
        }
    }
}
