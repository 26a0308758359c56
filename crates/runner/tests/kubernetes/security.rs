//! Security contexts and capabilities.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFG-02
/// Covers: GK-CFG-51
#[test]
fn privileges() {
    let service = json!({"services": [{"name": "docker:dind", "alias": "docker"}]});
    golden(
        "privileges",
        &[
            case("privileged", "privileged = true").job(service.clone()),
            case(
                "privileged, but the helper",
                "privileged = true\n[runners.kubernetes.helper_container_security_context]\nprivileged = false",
            )
            .job(service.clone()),
            case("escalation", "allow_privilege_escalation = true").job(service.clone()),
            case("no escalation", "allow_privilege_escalation = false").job(service),
        ],
    );
}

/// Covers: GK-CFG-13
/// Covers: GK-CFG-14
/// Covers: GK-CAP-02
/// Covers: GK-CAP-03
/// Covers: GK-CAP-04
/// Covers: GK-CSC-05
/// Covers: GK-CSC-06
#[test]
fn capabilities() {
    golden(
        "capabilities",
        &[
            case("added", "cap_add = [\"SYS_TIME\", \"IPC_LOCK\"]"),
            case("added what is dropped anyway", "cap_add = [\"NET_RAW\"]"),
            case("dropped", "cap_drop = [\"SYS_TIME\", \"NET_RAW\"]"),
            case(
                "dropped and added",
                "cap_add = [\"SYS_TIME\", \"CHOWN\"]\ncap_drop = [\"SYS_TIME\"]",
            ),
            case("with the prefix", "cap_add = [\"CAP_SYS_TIME\"]"),
            case(
                "of one container that drops something else",
                "[runners.kubernetes.build_container_security_context.capabilities]\ndrop = [\"CHOWN\"]",
            ),
            case(
                "of one container that would have it back",
                "[runners.kubernetes.build_container_security_context.capabilities]\nadd = [\"NET_RAW\", \"SYS_TIME\"]",
            ),
            case(
                "of one container, added to all",
                "cap_add = [\"NET_RAW\"]\n[runners.kubernetes.build_container_security_context.capabilities]\nadd = [\"NET_RAW\"]\ndrop = [\"CHOWN\"]",
            ),
            case(
                "of one container",
                "cap_add = [\"SYS_TIME\"]\n[runners.kubernetes.build_container_security_context.capabilities]\nadd = [\"NET_ADMIN\"]\ndrop = [\"ALL\"]",
            ),
        ],
    );
}

/// Covers: GK-CFG-42
/// Covers: GK-PSC-01
/// Covers: GK-PSC-02
/// Covers: GK-PSC-03
/// Covers: GK-PSC-04
/// Covers: GK-PSC-05
/// Covers: GK-PSC-06
#[test]
fn of_the_pod() {
    golden(
        "pod_security_context",
        &[
            case(
                "everything",
                "[runners.kubernetes.pod_security_context]\nfs_group = 59417\nrun_as_group = 59417\nrun_as_non_root = true\nrun_as_user = 59417\n\
             supplemental_groups = [1, 2]\nselinux_type = \"spc_t\"\n\
             [runners.kubernetes.pod_security_context.seccomp_profile]\ntype = \"RuntimeDefault\"\n\
             [runners.kubernetes.pod_security_context.app_armor_profile]\ntype = \"Localhost\"\nlocalhost_profile = \"ci\"",
            ),
            case(
                "a profile that is none",
                "[runners.kubernetes.pod_security_context.seccomp_profile]\ntype = \"Mine\"",
            ),
            case(
                "a profile without name",
                "[runners.kubernetes.build_container_security_context.seccomp_profile]\ntype = \"Localhost\"",
            ),
        ],
    );
}

/// Covers: GK-CFG-12
/// Covers: GK-CFG-20
/// Covers: GK-CFG-26
/// Covers: GK-CFG-55
/// Covers: GK-CSC-01
/// Covers: GK-CSC-02
/// Covers: GK-CSC-03
/// Covers: GK-CSC-04
/// Covers: GK-CSC-07
/// Covers: GK-CSC-08
/// Covers: GK-CSC-09
#[test]
fn of_containers() {
    let service = json!({"services": [{"name": "redis:7"}]});
    let context = |part: &str| {
        format!(
            "[runners.kubernetes.{part}_container_security_context]\nrun_as_user = 1000\nrun_as_group = 1001\nrun_as_non_root = true\n\
             read_only_root_filesystem = true\nallow_privilege_escalation = false\nselinux_type = \"t\"\nproc_mount = \"Default\"\n\
             [runners.kubernetes.{part}_container_security_context.seccomp_profile]\ntype = \"Localhost\"\nlocalhost_profile = \"p.json\"\n\
             [runners.kubernetes.{part}_container_security_context.app_armor_profile]\ntype = \"Unconfined\""
        )
    };
    golden(
        "container_security_contexts",
        &[
            case("build", &context("build")).job(service.clone()),
            case("helper", &context("helper")).job(service.clone()),
            case("service", &context("service")).job(service.clone()),
            case("init-permissions", &context("init_permissions")).job(service.clone()),
            case(
                "beside the pod's",
                "[runners.kubernetes.pod_security_context]\nrun_as_non_root = true\nrun_as_user = 59417\nrun_as_group = 59417\nfs_group = 59417\n\
                 [runners.kubernetes.init_permissions_container_security_context]\nrun_as_user = 1000\nrun_as_group = 1000\n\
                 [runners.kubernetes.build_container_security_context]\nrun_as_user = 65534\nrun_as_group = 65534\n\
                 [runners.kubernetes.build_container_security_context.capabilities]\nadd = [\"NET_ADMIN\"]",
            )
            .job(service),
        ],
    );
}
