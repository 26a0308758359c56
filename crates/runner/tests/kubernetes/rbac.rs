//! The rights that a configuration needs.

use tasuki_runner::executor::kubernetes::{Account, Purpose, Settings, rbac_manifest};

use super::golden::case;

fn manifest(section: &str, purpose: Purpose) -> String {
    let settings = Settings::new(&case("rbac", section).config()).unwrap_or_else(|error| panic!("{error}"));
    let account = Account {
        name: "tasuki-runner".to_owned(),
        namespace: "runners".to_owned(),
    };
    let objects = rbac_manifest(&settings, &account, purpose);
    let texts: Vec<String> = objects
        .iter()
        .map(|object| serde_saphyr::to_string(object).expect("is YAML"))
        .collect();
    texts.join("---\n")
}

/// Covers: GK-RBAC-05, GK-RBAC-22
#[test]
fn manifests() {
    use Purpose::{Jobs, JobsAndAudit};
    for (name, purpose, section) in [
        ("rbac_plain", Jobs, "namespace = \"ci\""),
        (
            "rbac_least",
            Jobs,
            "print_pod_warning_events = false\nuse_service_account_image_pull_secrets = true",
        ),
        (
            "rbac_most",
            JobsAndAudit,
            "namespace_per_job = true\npod_disruption_budget = true\nservice_account = \"x\"\nresource_availability_check_max_attempts = 3",
        ),
        ("rbac_chosen_namespace", Jobs, "namespace_overwrite_allowed = \"ci-.*\""),
        (
            "rbac_pause_pods",
            Jobs,
            "namespace = \"ci\"\n[runners.kubernetes.autoscaler]\nmax_pause_pods = 2",
        ),
        ("rbac_audit", JobsAndAudit, "namespace = \"ci\""),
        (
            "rbac_pod_events",
            Jobs,
            "namespace = \"ci\"\n[runners.feature_flags]\nFF_PRINT_POD_EVENTS = true",
        ),
        (
            "rbac_entry_point",
            Jobs,
            "namespace = \"ci\"\n[runners.feature_flags]\nFF_KUBERNETES_HONOR_ENTRYPOINT = true",
        ),
    ] {
        insta::assert_snapshot!(name, manifest(section, purpose));
    }
}
