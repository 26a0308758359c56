//! On which nodes.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFG-31
/// Covers: GK-NSEL-05
/// Covers: GK-NSEL-06
/// Covers: GK-NSEL-07
/// Covers: GK-NSEL-08
#[test]
fn node_selectors() {
    let arch = "node_selector_overwrite_allowed = \"kubernetes.io/arch=.*\"\n[runners.kubernetes.node_selector]\nrole = \"ci\"";
    golden(
        "node_selectors",
        &[
            case(
                "of the runner",
                "[runners.kubernetes.node_selector]\nrole = \"ci\"\n\"kubernetes.io/arch\" = \"amd64\"",
            ),
            case("of the job", arch).variables(json!({"KUBERNETES_NODE_SELECTOR_ARCH": "kubernetes.io/arch=amd64"})),
            case("another key", arch).variables(json!({"KUBERNETES_NODE_SELECTOR_ROLE": "role=other"})),
            case("without the guard", "[runners.kubernetes.node_selector]\nrole = \"ci\"")
                .variables(json!({"KUBERNETES_NODE_SELECTOR_ROLE": "role=other"})),
        ],
    );
}

/// Covers: GK-CFG-32
/// Covers: GK-CFG-34
/// Covers: GK-CFG-35
/// Covers: GK-OW-01
/// Covers: GK-OW-02
/// Covers: GK-OW-03
/// Covers: GK-OW-04
/// Covers: GK-OW-05
/// Covers: GK-OW-06
/// Covers: GK-OW-07
/// Covers: GK-OW-08
/// Covers: GK-OW-14
#[test]
fn tolerations() {
    let one = |value: &str| json!({"KUBERNETES_NODE_TOLERATIONS_1": value});
    let any = "node_tolerations_overwrite_allowed = \".*\"";
    golden(
        "tolerations",
        &[
            case(
                "of the runner",
                "[runners.kubernetes.node_tolerations]\n\"key\" = \"NoSchedule\"\n\"key=value\" = \"NoSchedule\"\n\
                 \"empty=\" = \"PreferNoSchedule\"\n\"any\" = \"\"",
            ),
            case("key and effect", any).variables(one("key:NoSchedule")),
            case("key, value and effect", any).variables(one("key=value:NoSchedule")),
            case("empty value", any).variables(one("key=:PreferNoSchedule")),
            case("key alone", any).variables(one("onlyKey")),
            case("everything", any).variables(one("")),
            case("a second colon is the effect's", any).variables(one("key=a:b:NoExecute")),
            case(
                "beside the runner's",
                &format!(
                    "{any}\n[runners.kubernetes.node_tolerations]\n\"key=value\" = \"NoSchedule\"\n\"kept\" = \"\""
                ),
            )
            .variables(
                json!({"KUBERNETES_NODE_TOLERATIONS_1": "key=value:NoExecute", "KUBERNETES_NODE_TOLERATIONS_2": "two"}),
            ),
            case("without the guard", "").variables(one("key:NoSchedule")),
            case("not allowed", "node_tolerations_overwrite_allowed = \"^ci\"").variables(one("master:NoSchedule")),
        ],
    );
}

/// Covers: GK-CFG-01
/// Covers: GK-AFF-01
/// Covers: GK-AFF-03
/// Covers: GK-AFF-04
/// Covers: GK-AFF-05
/// Covers: GK-AFF-06
/// Covers: GK-AFF-07
/// Covers: GK-AFF-08
/// Covers: GK-AFF-09
/// Covers: GK-AFF-10
/// Covers: GK-AFF-11
/// Covers: GK-AFF-12
/// Covers: GK-AFF-13
/// Covers: GK-AFF-14
/// Covers: GK-AFF-15
#[test]
fn affinity() {
    let pods = |kind: &str| {
        format!(
            "[[runners.kubernetes.affinity.{kind}.required_during_scheduling_ignored_during_execution]]\n\
             topology_key = \"failure-domain.beta.kubernetes.io/zone\"\nnamespaces = [\"one\", \"two\"]\nmatch_label_keys = [\"a\"]\nmismatch_label_keys = [\"b\"]\n\
             [runners.kubernetes.affinity.{kind}.required_during_scheduling_ignored_during_execution.label_selector]\n\
             match_labels = {{ app = \"x\" }}\n\
             [[runners.kubernetes.affinity.{kind}.required_during_scheduling_ignored_during_execution.label_selector.match_expressions]]\n\
             key = \"security\"\noperator = \"In\"\nvalues = [\"S1\"]\n\
             [[runners.kubernetes.affinity.{kind}.required_during_scheduling_ignored_during_execution.namespace_selector.match_expressions]]\n\
             key = \"n\"\noperator = \"Exists\"\n\
             [[runners.kubernetes.affinity.{kind}.preferred_during_scheduling_ignored_during_execution]]\nweight = 100\n\
             [runners.kubernetes.affinity.{kind}.preferred_during_scheduling_ignored_during_execution.pod_affinity_term]\n\
             topology_key = \"zone\"\n\
             [[runners.kubernetes.affinity.{kind}.preferred_during_scheduling_ignored_during_execution.pod_affinity_term.label_selector.match_expressions]]\n\
             key = \"security\"\noperator = \"In\"\nvalues = [\"S2\"]\n\
             [[runners.kubernetes.affinity.{kind}.preferred_during_scheduling_ignored_during_execution.pod_affinity_term.namespace_selector.match_expressions]]\n\
             key = \"n\"\noperator = \"In\"\nvalues = [\"x\"]"
        )
    };
    golden(
        "affinity",
        &[
            case(
                "nodes",
                "[[runners.kubernetes.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution]]\n\
                 weight = 100\n\
                 [[runners.kubernetes.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution.preference.match_expressions]]\n\
                 key = \"cpu_speed\"\noperator = \"In\"\nvalues = [\"fast\"]\n\
                 [[runners.kubernetes.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution.preference.match_fields]]\n\
                 key = \"metadata.name\"\noperator = \"In\"\nvalues = [\"node-1\"]\n\
                 [[runners.kubernetes.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution]]\n\
                 weight = 50\n\
                 [[runners.kubernetes.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution.preference.match_expressions]]\n\
                 key = \"core_count\"\noperator = \"In\"\nvalues = [\"high\", \"32\"]\n\
                 [[runners.kubernetes.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms]]\n\
                 [[runners.kubernetes.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms.match_expressions]]\n\
                 key = \"kubernetes.io/e2e-az-name\"\noperator = \"In\"\nvalues = [\"e2e-az1\", \"e2e-az2\"]",
            ),
            case("pods", &pods("pod_affinity")),
            case("away from pods", &pods("pod_anti_affinity")),
            case(
                "no topology",
                "[[runners.kubernetes.affinity.pod_affinity.required_during_scheduling_ignored_during_execution]]\nnamespaces = [\"x\"]",
            ),
        ],
    );
}
