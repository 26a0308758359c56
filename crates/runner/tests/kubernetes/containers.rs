//! What every pod has.

use serde_json::json;

use super::golden::{case, golden, shown};

/// The whole, for an empty section.
///
/// Covers: GK-LIFE-08
/// Covers: GK-LIFE-09
/// Covers: GK-CACHE-01
/// Covers: GK-CACHE-02
/// Covers: GK-POD-03
/// Covers: GK-CAP-01
/// Covers: GK-PULL-07
/// Covers: GK-CFG-03
/// Covers: GK-CFG-18
#[test]
fn plain() {
    let planned = case("plain", "").planned().unwrap_or_else(|error| panic!("{error}"));
    let text = serde_saphyr::to_string(&shown(&planned)).unwrap();
    let architecture = text.lines().map(|line| match line.split_once("value: linux/") {
        Some((before, _)) => format!("{before}value: linux/[architecture]"),
        None => line.to_owned(),
    });
    let text: Vec<String> = architecture.collect();
    insta::assert_snapshot!("plain", text.join("\n").replace(env!("CARGO_PKG_VERSION"), "[version]"));
}

/// Covers: GK-CFG-43
/// Covers: GK-CFG-44
/// Covers: GK-CFG-50
/// Covers: GK-CFG-54
/// Covers: GK-CFG-56
/// Covers: GK-CFG-57
/// Covers: GK-CFG-09
/// Covers: GK-CFG-25
/// Covers: GK-CFG-60
/// Covers: GK-CFG-27
/// Covers: GK-CFG-29
#[test]
fn pod_fields() {
    golden(
        "pod_fields",
        &[
            case("grace", "pod_termination_grace_period_seconds = 30"),
            case("old grace", "pod_termination_grace_period_seconds = 30\nterminationGracePeriodSeconds = 15"),
            case("no deadline", "[runners.feature_flags]\nFF_USE_POD_ACTIVE_DEADLINE_SECONDS = false"),
            case("no deadline by the job", "").variables(json!({"FF_USE_POD_ACTIVE_DEADLINE_SECONDS": "false"})),
            case("classes", "priority_class_name = \"high\"\nruntime_class_name = \"myclass\"\nscheduler_name = \"mine\""),
            case("empty texts", "priority_class_name = \"\"\nruntime_class_name = \"\"\nscheduler_name = \"\"\nhost = \"\"\nnamespace = \"\""),
            case("service account", "service_account = \"ci\"\nautomount_service_account_token = false"),
            case("pull secrets", "image_pull_secrets = [\"one\", \"two\"]"),
            case("pull secrets of the account", "image_pull_secrets = [\"one\"]\nuse_service_account_image_pull_secrets = true")
                .job(json!({"credentials": [{"type": "registry", "url": "r.example.com", "username": "u", "password": "p"}]})),
            case("namespace", "namespace = \"ci\""),
            case("namespace per job", "namespace = \"ci\"\nnamespace_per_job = true\nnamespace_overwrite_allowed = \".*\"")
                .variables(json!({"KUBERNETES_NAMESPACE_OVERWRITE": "other"})),
            case("disruption budget", "pod_disruption_budget = true"),
            case("guest by an init container", "guest_delivery = \"init-container\""),
        ],
    );
}

/// Log-ins go into a secret of their own.
#[test]
fn registry_logins() {
    let credentials = json!([{"type": "registry", "url": "r.example.com", "username": "u", "password": "p"}]);
    golden(
        "registry_logins",
        &[
            case("of the payload", "").job(json!({"credentials": credentials})),
            case("of the job before it", "").job(json!({
                "credentials": credentials,
                "variables": {"DOCKER_AUTH_CONFIG": r#"{"auths": {"r.example.com": {"auth": "b3duOnB3"}}, "credsStore": "x"}"#},
            })),
            case("not readable", "").variables(json!({"DOCKER_AUTH_CONFIG": "secret {"})),
        ],
    );
}

/// Nothing that is not public stands in a pod.
#[test]
fn secrets_stay_out() {
    let shown = shown(&case("plain", "").planned().unwrap_or_else(|error| panic!("{error}"))).to_string();
    for secret in [
        "of-nobody",
        "content of a file",
        "job-token",
        "glrt-abcdefghi0123456789",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
