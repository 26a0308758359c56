//! Security contexts.

use k8s_openapi::api::core::v1 as api;

use super::users::JobUser;
use crate::config::kubernetes::{
    AppArmorProfile, ContainerSecurityContext, KubernetesConfig, PodSecurityContext, SeccompProfile,
};

/// What containers may not do where nobody says otherwise.
const DROPPED: &str = "NET_RAW";

/// The pod's; absent where the configuration says nothing.
pub(super) fn of_pod(own: &PodSecurityContext) -> Option<api::PodSecurityContext> {
    (*own != PodSecurityContext::default()).then(|| api::PodSecurityContext {
        fs_group: own.fs_group,
        run_as_group: own.run_as_group,
        run_as_non_root: own.run_as_non_root,
        run_as_user: own.run_as_user,
        supplemental_groups: (!own.supplemental_groups.is_empty()).then(|| own.supplemental_groups.clone()),
        se_linux_options: selinux(&own.selinux_type),
        seccomp_profile: seccomp(&own.seccomp_profile),
        app_armor_profile: app_armor(&own.app_armor_profile),
        ..api::PodSecurityContext::default()
    })
}

/// A container's. `job` is who the job wants to be, where the container may be that.
pub(super) fn of_container(
    config: &KubernetesConfig,
    own: &ContainerSecurityContext,
    job: JobUser,
) -> api::SecurityContext {
    let pod = &config.pod_security_context;
    // Where the pod's context names somebody, the job names nobody.
    let user = own
        .run_as_user
        .or(if pod.run_as_user.is_some() { None } else { job.user });
    let group = own
        .run_as_group
        .or(if pod.run_as_group.is_some() { None } else { job.group });
    api::SecurityContext {
        capabilities: capabilities(config, own),
        privileged: own.privileged.or(config.privileged),
        allow_privilege_escalation: own.allow_privilege_escalation.or(config.allow_privilege_escalation),
        run_as_user: user,
        run_as_group: group,
        run_as_non_root: own.run_as_non_root,
        read_only_root_filesystem: own.read_only_root_filesystem,
        proc_mount: text(&own.proc_mount),
        se_linux_options: selinux(&own.selinux_type),
        seccomp_profile: seccomp(&own.seccomp_profile),
        app_armor_profile: app_armor(&own.app_armor_profile),
        ..api::SecurityContext::default()
    }
}

/// The configuration's `cap_drop` before its `cap_add` before what is dropped anyway; a container's own list that is not
/// empty stands in place of the configuration's. It does not bring back what is dropped anyway: that does `cap_add` alone.
fn capabilities(config: &KubernetesConfig, own: &ContainerSecurityContext) -> Option<api::Capabilities> {
    let names = |list: &[String]| -> Vec<String> {
        let mut names: Vec<String> = list.iter().map(|name| bare(name).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    };
    let of = |own: &[String], config: &[String]| names(if own.is_empty() { config } else { own });
    let (mut add, mut drop) = (names(&config.cap_add), names(&config.cap_drop));
    let wanted = add.iter().any(|name| name == DROPPED || name == "ALL") && !drop.iter().any(|name| name == DROPPED);
    add.retain(|name| !drop.contains(name));
    add = of(&own.capabilities.add, &add);
    drop = of(&own.capabilities.drop, &drop);
    if !wanted {
        add.retain(|name| name != DROPPED);
        if !drop.iter().any(|name| name == DROPPED || name == "ALL") {
            drop.push(DROPPED.to_owned());
            drop.sort();
        }
    }
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let (add, drop) = (some(add), some(drop));
    (add.is_some() || drop.is_some()).then_some(api::Capabilities { add, drop })
}

/// Kubernetes names capabilities without the kernel's prefix.
fn bare(name: &str) -> &str {
    name.strip_prefix("CAP_").unwrap_or(name)
}

fn selinux(kind: &str) -> Option<api::SELinuxOptions> {
    text(kind).map(|kind| api::SELinuxOptions {
        type_: Some(kind),
        ..api::SELinuxOptions::default()
    })
}

fn seccomp(profile: &SeccompProfile) -> Option<api::SeccompProfile> {
    text(&profile.kind).map(|kind| api::SeccompProfile {
        type_: kind,
        localhost_profile: text(&profile.localhost_profile),
    })
}

fn app_armor(profile: &AppArmorProfile) -> Option<api::AppArmorProfile> {
    text(&profile.kind).map(|kind| api::AppArmorProfile {
        type_: kind,
        localhost_profile: text(&profile.localhost_profile),
    })
}

/// A text that says something.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
