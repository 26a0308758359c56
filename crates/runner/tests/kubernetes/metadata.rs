//! Labels and annotations.

use serde_json::json;

use super::golden::{case, golden};

/// The defaults stand in the snapshot `plain`.
///
/// Covers: GK-LBL-01
/// Covers: GK-LBL-02
/// Covers: GK-LBL-03
/// Covers: GK-LBL-04
/// Covers: GK-LBL-05
/// Covers: GK-LBL-06
/// Covers: GK-LBL-07
/// Covers: GK-LBL-08
/// Covers: GK-LBL-09
/// Covers: GK-CFG-39
/// Covers: GK-CFG-40
/// Covers: GK-CFG-41
/// Covers: GK-OW-09
/// Covers: GK-OW-10
#[test]
fn labels() {
    let own = "pod_labels_overwrite_allowed = \".*\"\n[runners.kubernetes.pod_labels]\n";
    golden(
        "labels",
        &[
            case(
                "of the runner",
                "[runners.kubernetes.pod_labels]\nteam = \"a\"\nbranch = \"$CI_COMMIT_REF_SLUG\"",
            ),
            case("of the job", &format!("{own}team = \"a\"\nkept = \"k\"")).variables(json!({
                "KUBERNETES_POD_LABELS_1": "team=b", "KUBERNETES_POD_LABELS_more": "x=y=z",
            })),
            case("without the guard", "[runners.kubernetes.pod_labels]\nteam = \"a\"")
                .variables(json!({"KUBERNETES_POD_LABELS_1": "team=b"})),
            case("no pair", own).variables(json!({"KUBERNETES_POD_LABELS_1": "team"})),
            case("not allowed", "pod_labels_overwrite_allowed = \"^team=\"")
                .variables(json!({"KUBERNETES_POD_LABELS_1": "pod=x"})),
            case(
                "the runner's own by the runner",
                "[runners.kubernetes.pod_labels]\n\"project.runner.gitlab.com/id\" = \"1\"\n\"runner.gitlab.com/x\" = \"1\"\n\
                 \"A.Runner.GitLab.com/x\" = \"1\"\n\"tasuki.dev/sandbox\" = \"1\"\npod = \"1\"\n\"xrunner.gitlab.com/kept\" = \"1\"",
            ),
            case("the runner's own by the job", own).variables(json!({
                "KUBERNETES_POD_LABELS_1": "manager.runner.gitlab.com/id-short=other",
                "KUBERNETES_POD_LABELS_2": "tasuki.dev/manager=other", "KUBERNETES_POD_LABELS_3": "pod=other",
                "KUBERNETES_POD_LABELS_4": "new.runner.gitlab.com/x=other",
            })),
            case("spoofed by variables", "").variables(json!({
                "CI_PROJECT_NAME": "other", "CI_PROJECT_NAMESPACE": "other", "CI_PROJECT_ROOT_NAMESPACE": "other",
                "CI_PROJECT_NAMESPACE_ID": "1", "CI_PROJECT_ID": "1",
            })),
            case("odd names", "").job(json!({"job_info": {
                "id": 42, "name": "unit tests", "project_id": 7, "project_name": "--Über Projekt--",
                "project_full_path": format!("{}/b/c", "a".repeat(70)),
            }})),
        ],
    );
}

/// Covers: GK-ANN-01
/// Covers: GK-ANN-02
/// Covers: GK-ANN-03
/// Covers: GK-ANN-04
/// Covers: GK-ANN-05
/// Covers: GK-ANN-06
/// Covers: GK-ANN-07
/// Covers: GK-ANN-08
/// Covers: GK-ANN-09
/// Covers: GK-ANN-10
/// Covers: GK-CFG-36
/// Covers: GK-CFG-37
/// Covers: GK-CFG-38
/// Covers: GK-OW-11
/// Covers: GK-OW-12
/// Covers: GK-OW-13
#[test]
fn annotations() {
    let four = "[runners.kubernetes.pod_annotations]\nKey1 = \"1\"\nKey2 = \"2\"\nKey3 = \"3\"\n\"path/Key4\" = \"4\"";
    golden(
        "annotations",
        &[
            case(
                "of the runner",
                "[runners.kubernetes.pod_annotations]\nbranch = \"$CI_COMMIT_REF_NAME\"",
            ),
            case(
                "of the job",
                &format!("pod_annotations_overwrite_allowed = \".*\"\n{four}"),
            )
            .variables(json!({
                "KUBERNETES_POD_ANNOTATIONS_1": "Key1=a", "KUBERNETES_POD_ANNOTATIONS_2": "Key2=b",
                "KUBERNETES_POD_ANNOTATIONS_3": "Key3=c=d",
            })),
            case("without the guard", four).variables(json!({"KUBERNETES_POD_ANNOTATIONS_1": "Key1=a"})),
            case("not allowed", "pod_annotations_overwrite_allowed = \"^Key\"")
                .variables(json!({"KUBERNETES_POD_ANNOTATIONS_1": "Other=a"})),
            case(
                "the defaults by the runner",
                "[runners.kubernetes.pod_annotations]\n\"job.runner.gitlab.com/id\" = \"mine\"",
            ),
            case("the defaults by the job", "pod_annotations_overwrite_allowed = \".*\"")
                .variables(json!({"KUBERNETES_POD_ANNOTATIONS_1": "job.runner.gitlab.com/name=mine"})),
            case("a short time", "").job(json!({"runner_info": {"timeout": 45}})),
        ],
    );
}
