//! Security contexts of the pod and of its containers.

use serde::Deserialize;

/// `[runners.kubernetes.pod_security_context]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PodSecurityContext {
    pub fs_group: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_non_root: Option<bool>,
    pub run_as_user: Option<i64>,
    pub supplemental_groups: Vec<i64>,
    pub selinux_type: String,
    pub seccomp_profile: SeccompProfile,
    pub app_armor_profile: AppArmorProfile,
}

/// `[runners.kubernetes.<container>_container_security_context]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ContainerSecurityContext {
    pub capabilities: Capabilities,
    pub privileged: Option<bool>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_non_root: Option<bool>,
    pub read_only_root_filesystem: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub selinux_type: String,
    pub proc_mount: String,
    pub seccomp_profile: SeccompProfile,
    pub app_armor_profile: AppArmorProfile,
}

/// Names without `CAP_`. A list that is not empty stands in place of the runner's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    pub add: Vec<String>,
    pub drop: Vec<String>,
}

/// `RuntimeDefault`, `Unconfined`, or `Localhost` with a profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SeccompProfile {
    #[serde(rename = "type")]
    pub kind: String,
    pub localhost_profile: String,
}

/// The same words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct AppArmorProfile {
    #[serde(rename = "type")]
    pub kind: String,
    pub localhost_profile: String,
}
