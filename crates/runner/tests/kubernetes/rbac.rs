//! The rights that a configuration needs.

use tasuki_runner::executor::kubernetes::{Account, Settings, rbac_manifest};

use super::golden::case;

fn manifest(section: &str) -> String {
    let settings = Settings::new(&case("rbac", section).config()).unwrap_or_else(|error| panic!("{error}"));
    let account = Account {
        name: "tasuki-runner".to_owned(),
        namespace: "runners".to_owned(),
    };
    let objects = rbac_manifest(&settings, &account);
    let texts: Vec<String> = objects
        .iter()
        .map(|object| serde_saphyr::to_string(object).unwrap())
        .collect();
    texts.join("---\n")
}

#[test]
fn manifests() {
    for (name, section) in [
        ("rbac_plain", "namespace = \"ci\""),
        (
            "rbac_least",
            "print_pod_warning_events = false\n[runners.feature_flags]\nFF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY = true",
        ),
        (
            "rbac_most",
            "namespace_per_job = true\npod_disruption_budget = true\n[runners.kubernetes.autoscaler]\nmax_pause_pods = 2\n\
             [runners.feature_flags]\nFF_PRINT_POD_EVENTS = true\nFF_KUBERNETES_HONOR_ENTRYPOINT = true",
        ),
        ("rbac_chosen_namespace", "namespace_overwrite_allowed = \"ci-.*\""),
    ] {
        insta::assert_snapshot!(name, manifest(section));
    }
}

/// Verbs on logs by the flags that need them.
#[test]
fn logs() {
    let flags = |names: &[&str]| {
        let list: Vec<String> = names.iter().map(|name| format!("{name} = true")).collect();
        format!("[runners.feature_flags]\n{}", list.join("\n"))
    };
    let legacy = "FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY";
    for (names, get, list) in [
        (&[legacy][..], false, false),
        (&[legacy, "FF_WAIT_FOR_POD_TO_BE_REACHABLE"], true, false),
        (&[legacy, "FF_KUBERNETES_HONOR_ENTRYPOINT"], true, true),
        (&[], true, true),
    ] {
        let settings = Settings::new(&case("logs", &flags(names)).config()).unwrap_or_else(|error| panic!("{error}"));
        let account = Account {
            name: "a".to_owned(),
            namespace: "n".to_owned(),
        };
        let objects = rbac_manifest(&settings, &account);
        let rules = objects
            .iter()
            .filter_map(|object| object.get("rules")?.as_array())
            .flatten();
        let verbs: Vec<String> = rules
            .filter(|rule| rule["resources"][0] == "pods/log")
            .filter_map(|rule| serde_json::from_value::<Vec<String>>(rule["verbs"].clone()).ok())
            .flatten()
            .collect();
        let has = |verb: &str| verbs.iter().any(|one| one == verb);
        assert_eq!((has("get"), has("list")), (get, list), "{names:?}");
    }
}
