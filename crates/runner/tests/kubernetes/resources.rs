//! Requests and limits.

use serde_json::{Value, json};

use super::golden::{Case, case, golden};

/// Every key of the section, as it stands.
///
/// Covers: GK-RES-01
/// Covers: GK-RES-03
/// Covers: GK-RES-05
/// Covers: GK-RES-07
/// Covers: GK-RES-09
/// Covers: GK-RES-11
/// Covers: GK-RES-13
/// Covers: GK-RES-15
/// Covers: GK-RES-17
/// Covers: GK-RES-19
/// Covers: GK-RES-21
/// Covers: GK-RES-23
/// Covers: GK-RES-25
/// Covers: GK-RES-27
/// Covers: GK-RES-29
/// Covers: GK-RES-31
/// Covers: GK-RES-33
/// Covers: GK-RES-35
#[test]
fn of_the_runner() {
    let service = json!({"services": [{"name": "redis:7", "alias": "cache"}]});
    let keys = keys();
    let cases: Vec<Case> = keys
        .iter()
        .map(|(name, key, _)| case(name, &format!("{key} = \"5\"")).job(service.clone()))
        .collect();
    golden("resources", &cases);
}

/// Each variable under its maximum, at it, above it, and without one.
///
/// Covers: GK-RES-02
/// Covers: GK-RES-04
/// Covers: GK-RES-06
/// Covers: GK-RES-08
/// Covers: GK-RES-10
/// Covers: GK-RES-12
/// Covers: GK-RES-14
/// Covers: GK-RES-16
/// Covers: GK-RES-18
/// Covers: GK-RES-20
/// Covers: GK-RES-22
/// Covers: GK-RES-24
/// Covers: GK-RES-26
/// Covers: GK-RES-28
/// Covers: GK-RES-30
/// Covers: GK-RES-32
/// Covers: GK-RES-34
/// Covers: GK-RES-36
/// Covers: GK-RES-38
/// Covers: GK-RES-39
#[test]
fn of_the_job() {
    let with = |section: String, name: &'static str, variable: &str, value: &str| {
        case(name, &section).job(json!({
            "services": [{"name": "redis:7", "alias": "cache"}],
            "variables": {variable: value},
        }))
    };
    let mut cases = Vec::new();
    for (name, key, variable) in keys() {
        let max = format!("{key}_overwrite_max_allowed = \"4\"\n{key} = \"1\"");
        cases.push(with(max.clone(), name, &variable, "4"));
        cases.push(with(max, name, &variable, "4001m"));
        cases.push(with(
            format!("{key} = \"1\"\n{key}_overwrite_max_allowed = \"\""),
            name,
            &variable,
            "2",
        ));
    }
    golden("resource_overwrites", &cases);
}

/// Covers: GK-RES-40
#[test]
fn amounts() {
    let section = "memory_limit = \"1Gi\"\nmemory_limit_overwrite_max_allowed = \"2Gi\"\nhelper_memory_limit_overwrite_max_allowed = \"1Gi\"";
    golden(
        "amounts",
        &[
            case("another unit below", section).variables(json!({"KUBERNETES_MEMORY_LIMIT": "2047Mi"})),
            case("the same in another unit", section).variables(json!({"KUBERNETES_MEMORY_LIMIT": "2048Mi"})),
            case("above in another unit", section).variables(json!({"KUBERNETES_MEMORY_LIMIT": "2049Mi"})),
            case("no amount", section).variables(json!({"KUBERNETES_MEMORY_LIMIT": "much"})),
            case("empty", section).variables(json!({"KUBERNETES_MEMORY_LIMIT": ""})),
            case("helper", section).variables(json!({"KUBERNETES_HELPER_MEMORY_LIMIT": "512Mi"})),
        ],
    );
}

/// Covers: GK-SVCRES-01
/// Covers: GK-SVCRES-02
/// Covers: GK-SVCRES-03
/// Covers: GK-SVCRES-04
/// Covers: GK-SVCRES-05
/// Covers: GK-SVCRES-06
/// Covers: GK-SVCRES-07
#[test]
fn of_one_service() {
    let max = "service_cpu_limit_overwrite_max_allowed = \"4\"\nservice_cpu_request_overwrite_max_allowed = \"4\"\n\
               service_memory_limit_overwrite_max_allowed = \"4Gi\"\nservice_memory_request_overwrite_max_allowed = \"4Gi\"\n\
               service_ephemeral_storage_limit_overwrite_max_allowed = \"4Gi\"\nservice_ephemeral_storage_request_overwrite_max_allowed = \"4Gi\"";
    let service = |alias: &str, variables: Value| {
        let list: Vec<Value> = variables
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| json!({"key": key, "value": value, "public": true}))
            .collect();
        json!({"name": "redis:7", "alias": alias, "variables": list})
    };
    golden(
        "service_resources",
        &[
            case("each its own", max).job(json!({
                "services": [
                    service("one", json!({
                        "KUBERNETES_SERVICE_CPU_REQUEST": "1", "KUBERNETES_SERVICE_CPU_LIMIT": "2",
                        "KUBERNETES_SERVICE_MEMORY_REQUEST": "1Gi", "KUBERNETES_SERVICE_MEMORY_LIMIT": "2Gi",
                    })),
                    service("two", json!({
                        "KUBERNETES_CPU_REQUEST": "3", "KUBERNETES_CPU_LIMIT": "4", "KUBERNETES_MEMORY_REQUEST": "3Gi",
                        "KUBERNETES_MEMORY_LIMIT": "4Gi", "KUBERNETES_EPHEMERAL_STORAGE_REQUEST": "1Gi",
                        "KUBERNETES_EPHEMERAL_STORAGE_LIMIT": "2Gi",
                    })),
                    service("three", json!({})),
                ],
                "variables": {"KUBERNETES_SERVICE_CPU_LIMIT": "3"},
            })),
            case("above the maximum", max)
                .job(json!({"services": [service("one", json!({"KUBERNETES_SERVICE_CPU_LIMIT": "5"}))]})),
            case("without a maximum", "service_cpu_limit = \"1\"")
                .job(json!({"services": [service("one", json!({"KUBERNETES_SERVICE_CPU_LIMIT": "5"}))]})),
        ],
    );
}

/// Name, key and variable of every amount that a job may change.
fn keys() -> Vec<(&'static str, String, String)> {
    let mut keys = Vec::new();
    for (part, prefix) in [
        ("build", ""),
        ("helper", "helper_"),
        ("service", "service_"),
        ("pod", "pod_"),
    ] {
        for resource in ["cpu", "memory", "ephemeral_storage"] {
            for kind in ["limit", "request"] {
                if part != "pod" || resource != "ephemeral_storage" {
                    let key = format!("{prefix}{resource}_{kind}");
                    let variable = format!("KUBERNETES_{}", key.to_uppercase());
                    keys.push((part, key, variable));
                }
            }
        }
    }
    keys
}
