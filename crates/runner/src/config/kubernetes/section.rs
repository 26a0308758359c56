//! The section.

use std::collections::BTreeMap;

use serde::Deserialize;
use tasuki_model::secret::Secret;

use super::{
    Affinity, Autoscaler, ContainerLifecycle, ContainerSecurityContext, DnsConfig, HostAlias, PodSecurityContext,
    PodSpecPatch, Volumes,
};
use crate::config::{GoDuration, OneOrMany};

/// Settings of the kubernetes executor. An empty text or list says nothing; sizes are Kubernetes' quantities (`500m`, `2Gi`).
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct KubernetesConfig {
    /// Address of the API server; empty = found by itself (in the cluster, or by the kubeconfig).
    pub host: String,
    /// Context of the kubeconfig, where `host` is empty.
    pub context: String,
    pub cert_file: String,
    pub key_file: String,
    pub ca_file: String,
    pub bearer_token: Option<Secret>,
    pub bearer_token_overwrite_allowed: bool,

    /// Image of jobs that name none.
    pub image: String,
    /// Empty = `default`.
    pub namespace: String,
    pub namespace_overwrite_allowed: String,
    /// Makes `ci-job-<job id>` for each job; the two above then say nothing.
    pub namespace_per_job: bool,
    pub privileged: Option<bool>,
    /// Absent = Kubernetes' own default.
    pub allow_privilege_escalation: Option<bool>,
    pub runtime_class_name: Option<String>,
    pub scheduler_name: String,
    pub priority_class_name: String,

    pub cpu_limit: String,
    pub cpu_limit_overwrite_max_allowed: String,
    pub cpu_request: String,
    pub cpu_request_overwrite_max_allowed: String,
    pub memory_limit: String,
    pub memory_limit_overwrite_max_allowed: String,
    pub memory_request: String,
    pub memory_request_overwrite_max_allowed: String,
    pub ephemeral_storage_limit: String,
    pub ephemeral_storage_limit_overwrite_max_allowed: String,
    pub ephemeral_storage_request: String,
    pub ephemeral_storage_request_overwrite_max_allowed: String,
    pub helper_cpu_limit: String,
    pub helper_cpu_limit_overwrite_max_allowed: String,
    pub helper_cpu_request: String,
    pub helper_cpu_request_overwrite_max_allowed: String,
    pub helper_memory_limit: String,
    pub helper_memory_limit_overwrite_max_allowed: String,
    pub helper_memory_request: String,
    pub helper_memory_request_overwrite_max_allowed: String,
    pub helper_ephemeral_storage_limit: String,
    pub helper_ephemeral_storage_limit_overwrite_max_allowed: String,
    pub helper_ephemeral_storage_request: String,
    pub helper_ephemeral_storage_request_overwrite_max_allowed: String,
    pub service_cpu_limit: String,
    pub service_cpu_limit_overwrite_max_allowed: String,
    pub service_cpu_request: String,
    pub service_cpu_request_overwrite_max_allowed: String,
    pub service_memory_limit: String,
    pub service_memory_limit_overwrite_max_allowed: String,
    pub service_memory_request: String,
    pub service_memory_request_overwrite_max_allowed: String,
    pub service_ephemeral_storage_limit: String,
    pub service_ephemeral_storage_limit_overwrite_max_allowed: String,
    pub service_ephemeral_storage_request: String,
    pub service_ephemeral_storage_request_overwrite_max_allowed: String,
    pub pod_cpu_limit: String,
    pub pod_cpu_limit_overwrite_max_allowed: String,
    pub pod_cpu_request: String,
    pub pod_cpu_request_overwrite_max_allowed: String,
    pub pod_memory_limit: String,
    pub pod_memory_limit_overwrite_max_allowed: String,
    pub pod_memory_request: String,
    pub pod_memory_request_overwrite_max_allowed: String,

    pub allowed_images: Vec<String>,
    pub allowed_services: Vec<String>,
    pub allowed_pull_policies: Vec<String>,
    pub allowed_users: Vec<String>,
    pub allowed_groups: Vec<String>,
    pub pull_policy: OneOrMany,

    pub node_selector: BTreeMap<String, String>,
    pub node_selector_overwrite_allowed: String,
    /// `key` or `key=value` → effect; an empty effect is any.
    pub node_tolerations: BTreeMap<String, String>,
    pub node_tolerations_overwrite_allowed: String,
    pub affinity: Affinity,

    pub image_pull_secrets: Vec<String>,
    pub use_service_account_image_pull_secrets: bool,
    /// Image of checkout, caches and artifacts; it holds the program `tasuki`. Empty = `tasuki-helper:…` of this version.
    pub helper_image: String,
    pub helper_image_flavor: String,
    pub helper_image_autoset_arch_and_os: bool,
    /// How the guest comes into the job's container. Absent = by the helper, unless something else is said of init containers: then
    /// by the container `init-permissions`.
    pub guest_delivery: Option<GuestDelivery>,

    pub pod_termination_grace_period_seconds: Option<i64>,
    pub cleanup_grace_period_seconds: Option<i64>,
    /// Deprecated: both of the above.
    #[serde(rename = "terminationGracePeriodSeconds")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Absent = 5 min.
    pub cleanup_resources_timeout: Option<GoDuration>,
    /// Seconds; 0 = 3.
    pub poll_interval: u64,
    /// Seconds; 0 = 180.
    pub poll_timeout: u64,
    /// Absent or 0 = no check, negative = 5.
    pub resource_availability_check_max_attempts: Option<i64>,
    /// Tries of a request to the API, in all; 0 = 5.
    pub retry_limit: u32,
    /// Milliseconds; 0 = 2000, never below 500.
    pub retry_backoff_max: u64,
    /// Part of an error's text → tries.
    pub retry_limits: BTreeMap<String, u32>,

    pub pod_labels: BTreeMap<String, String>,
    pub pod_labels_overwrite_allowed: String,
    pub pod_annotations: BTreeMap<String, String>,
    pub pod_annotations_overwrite_allowed: String,

    pub service_account: String,
    pub service_account_overwrite_allowed: String,
    pub automount_service_account_token: Option<bool>,

    pub pod_security_context: PodSecurityContext,
    pub build_container_security_context: ContainerSecurityContext,
    pub helper_container_security_context: ContainerSecurityContext,
    pub service_container_security_context: ContainerSecurityContext,
    pub init_permissions_container_security_context: ContainerSecurityContext,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,

    pub volumes: Volumes,
    pub host_aliases: Vec<HostAlias>,
    pub dns_policy: String,
    pub dns_config: DnsConfig,
    pub container_lifecycle: ContainerLifecycle,
    pub services: Vec<KubernetesService>,
    pub pod_spec: Vec<PodSpecPatch>,
    pub logs_base_dir: String,
    pub scripts_base_dir: String,
    /// Absent = true.
    pub print_pod_warning_events: Option<bool>,
    pub pod_disruption_budget: bool,
    /// Empty = `20Gi`.
    pub suspend_pvc_size: String,
    pub suspend_pvc_storage_class: String,
    pub autoscaler: Option<Autoscaler>,
}

/// How the guest (this very program) comes into the job's container: by a volume, out of the helper image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestDelivery {
    /// The container `helper` is the pod's first, and its `postStart` hook copies it: a node starts containers in their order, and the
    /// next one when that hook is done.
    Helper,
    /// The container `init-permissions` copies it: the pod takes about a second longer, since a node looks for the end of a container
    /// once a second.
    InitContainer,
}

/// `[[runners.kubernetes.services]]`: beside every job of the runner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct KubernetesService {
    pub name: String,
    /// Several are split by spaces or commas.
    pub alias: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
}
