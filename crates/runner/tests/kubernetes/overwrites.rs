//! Namespace, service account, token.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFG-30
/// Covers: GK-NS-03
/// Covers: GK-NS-06
/// Covers: GK-NS-07
#[test]
fn namespace() {
    let wants = |name: &str| json!({"KUBERNETES_NAMESPACE_OVERWRITE": name});
    let ci = "namespace = \"own\"\nnamespace_overwrite_allowed = \"ci-.*\"";
    golden(
        "namespace_overwrite",
        &[
            case("allowed", ci).variables(wants("ci-1")),
            case("with a variable", ci).variables(wants("ci-${CI_COMMIT_REF_SLUG}")),
            case("found anywhere", ci).variables(wants("xci-1")),
            case("not allowed", ci).variables(wants("kube-system")),
            case("anchored", "namespace_overwrite_allowed = \"^ci-[a-z]+$\"").variables(wants("xci-a")),
            case("empty", ci).variables(wants("")),
            case("without the guard", "namespace = \"own\"").variables(wants("kube-system")),
            case("no pattern", "namespace_overwrite_allowed = \"(\"").variables(wants("ci-1")),
        ],
    );
}

/// Covers: GK-CFG-58
/// Covers: GK-SA-03
/// Covers: GK-SA-06
#[test]
fn service_account() {
    let wants = json!({"KUBERNETES_SERVICE_ACCOUNT_OVERWRITE": "ci-service-account"});
    golden(
        "service_account_overwrite",
        &[
            case(
                "allowed",
                "service_account = \"own\"\nservice_account_overwrite_allowed = \"ci-.*\"",
            )
            .variables(wants.clone()),
            case("not allowed", "service_account_overwrite_allowed = \"^qa-\"").variables(wants.clone()),
            case(
                "without the guard",
                "service_account = \"own\"\nservice_account_overwrite_allowed = \"\"",
            )
            .variables(wants),
        ],
    );
}

/// Covers: GK-CFG-11
/// Covers: GK-API-11
#[test]
fn bearer_token() {
    let wants = json!({"KUBERNETES_BEARER_TOKEN": "the job's"});
    golden(
        "bearer_token_overwrite",
        &[
            case(
                "allowed",
                "host = \"https://k.example.com\"\nbearer_token_overwrite_allowed = true",
            )
            .variables(wants.clone()),
            case(
                "not allowed",
                "host = \"https://k.example.com\"\nbearer_token_overwrite_allowed = false",
            )
            .variables(wants.clone()),
            case("no host", "bearer_token_overwrite_allowed = true").variables(wants),
            case("own without host", "bearer_token = \"t\""),
        ],
    );
}
