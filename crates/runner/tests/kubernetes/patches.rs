//! `pod_spec`.

use serde_json::json;

use super::golden::{case, golden};

const FLAG: &str = "[runners.feature_flags]\nFF_USE_ADVANCED_POD_SPEC_CONFIGURATION = true";

fn patch(kind: &str, text: &str) -> String {
    format!("[[runners.kubernetes.pod_spec]]\nname = \"p\"\npatch_type = \"{kind}\"\npatch = '''\n{text}\n'''\n")
}

/// Covers: GK-PS-01
/// Covers: GK-PS-02
/// Covers: GK-PS-03
/// Covers: GK-PS-04
/// Covers: GK-PS-05
/// Covers: GK-PS-07
/// Covers: GK-PS-08
/// Covers: GK-PS-18
/// Covers: GK-PS-19
/// Covers: GK-CFG-64
/// Covers: GK-USR-25
#[test]
fn strategic() {
    let request = "containers:\n- name: build\n  resources:\n    requests:\n      cpu: \"500m\"";
    let with = |text: &str| format!("{}{FLAG}", patch("strategic", text));
    golden(
        "patch_strategic",
        &[
            case("without the flag", &patch("strategic", request)),
            case("with the job's flag", &patch("strategic", request))
                .variables(json!({"FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": "true"})),
            case("a request", &with(request)),
            case(
                "no type is strategic",
                &format!("[[runners.kubernetes.pod_spec]]\npatch = \"subdomain: s\"\n{FLAG}"),
            ),
            case(
                "over the section",
                &format!(
                    "cpu_request = \"1\"\nscheduler_name = \"own\"\n{}",
                    with(&format!("{request}\nschedulerName: other"))
                ),
            ),
            case(
                "two, in order",
                &format!(
                    "{}{}{FLAG}",
                    patch("strategic", "subdomain: one\nhostname: one"),
                    patch("strategic", "subdomain: two")
                ),
            ),
            case(
                "an environment",
                &with("containers: [{name: build, env: [{name: NEW, value: x}, {name: CI_SERVER, value: other}]}]"),
            ),
            case(
                "init containers",
                &with("initContainers: [{name: init-permissions, tty: true}, {name: own, image: i}]"),
            ),
            case(
                "init containers, and the guest by the helper all the same",
                &format!(
                    "guest_delivery = \"helper\"\n{}",
                    with("initContainers: [{name: own, image: i}]")
                ),
            ),
            case(
                "a mount",
                &with("containers: [{name: helper, volumeMounts: [{name: repo, mountPath: /more}]}]"),
            ),
            case("a container gone", &with("containers: [{name: build, $patch: delete}]")),
            case(
                "tolerations as a whole",
                &format!(
                    "[runners.kubernetes.node_tolerations]\nown = \"\"\n{}",
                    with("tolerations: [{key: other, operator: Exists}]")
                ),
            ),
            case(
                "a volume replaced",
                &with("volumes: [{name: repo, $patch: replace, hostPath: {path: /srv}}]"),
            ),
            case(
                "a volume with kept keys",
                &with("volumes: [{name: repo, $retainKeys: [name, hostPath], hostPath: {path: /srv}}]"),
            ),
            case(
                "a windows user",
                &with("securityContext: {windowsOptions: {runAsUserName: ContainerAdministrator}}"),
            ),
            case(
                "a field that is none of a pod's",
                &with("containers: [{name: build, image: [1]}]"),
            ),
            case("an unknown field", &with("containers: [{name: build, imagee: x}]")),
            case("no key", &with("containers: [{image: x}]")),
        ],
    );
}

/// Covers: GK-PS-11
/// Covers: GK-PS-12
/// Covers: GK-PS-20
#[test]
fn merge() {
    let with = |text: &str| format!("{}{FLAG}", patch("merge", text));
    golden(
        "patch_merge",
        &[
            case("a field", &with("hostname: \"custom-pod-hostname\"")),
            case(
                "a field and a strategic one",
                &format!(
                    "{}{}",
                    patch("strategic", "subdomain: \"subdomain\""),
                    with("hostname: h")
                ),
            ),
            case(
                "a list as a whole",
                &with("containers: [{name: build, image: other}, {name: helper, image: h}]"),
            ),
            case("one container", &with("containers: [{name: build, image: other}]")),
            case("gone", &with("containers: null")),
            case("null", &with("restartPolicy: null\nvolumes: null")),
            case("no map", &with("- a")),
        ],
    );
}

/// `add` at what is there replaces it, as RFC 6902 says.
///
/// Covers: GK-PS-13
/// Covers: GK-PS-16
/// Covers: GK-PS-17
/// Covers: GK-UNS-02
/// Covers: GK-UNS-03
/// Covers: GK-PS-15
#[test]
fn json_patch() {
    let with = |text: &str| format!("{}{FLAG}", patch("json", text));
    let selector = "[runners.kubernetes.node_selector]\nown = \"x\"\n";
    golden(
        "patch_json",
        &[
            case("add a selector", &with("[{\"op\": \"add\", \"path\": \"/nodeSelector\", \"value\": { key1: \"val1\" } }]")),
            case("add over a selector", &format!("{selector}{}", with("- op: add\n  path: /nodeSelector\n  value: { key1: \"val1\" }"))),
            case("add to a selector", &format!("{selector}{}", with("- op: add\n  path: /nodeSelector/key1\n  value: \"val1\""))),
            case("replace", &format!("terminationGracePeriodSeconds = 10\n{}", with("[{\"op\": \"replace\", \"path\": \"/terminationGracePeriodSeconds\", \"value\": 60}]"))),
            case("append to a list", &with("- op: add\n  path: /volumes/-\n  value: {name: more, emptyDir: {}}")),
            case("an init container", &with("- op: add\n  path: /initContainers/-\n  value: {name: own, image: i}")),
            case("remove", &with("- {op: remove, path: /containers/0/stdin}")),
            case("test and fail", &with("- {op: test, path: /restartPolicy, value: Always}")),
            case("no such place", &with("- {op: replace, path: /nope/x, value: 1}")),
            case("no operations", &with("op: add")),
            case(
                "user namespaces",
                &format!("privileged = false\nallow_privilege_escalation = false\nlogs_base_dir = \"/tmp\"\nscripts_base_dir = \"/tmp\"\n{}",
                    with("- {op: add, path: /hostUsers, value: false}")),
            )
            .runner("builds_dir = \"/tmp/builds\""),
        ],
    );
}

/// Covers: GK-PS-06
/// Covers: GK-PS-09
/// Covers: GK-PS-10
#[test]
fn files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/patches");
    let file = |name: &str, kind: &str| {
        format!(
            "[[runners.kubernetes.pod_spec]]\nname = \"f\"\npatch_path = \"{path}/{name}\"\npatch_type = \"{kind}\"\n{FLAG}"
        )
    };
    let check = |section: &str, wanted: Result<&str, &str>| {
        let planned = case("file", section).planned();
        match (planned, wanted) {
            (Ok(planned), Ok(subdomain)) => {
                let found = planned.pod.spec.and_then(|spec| spec.subdomain);
                assert_eq!(found.as_deref(), Some(subdomain), "{section}");
            }
            (Err(error), Err(said)) => assert!(error.to_string().contains(said), "{error} has not {said}"),
            (Ok(_), Err(said)) => panic!("{section}: accepted, and not refused with {said}"),
            (Err(error), Ok(_)) => panic!("{section}: {error}"),
        }
    };
    check(&file("subdomain.yaml", "strategic"), Ok("from-yaml"));
    check(&file("subdomain.json", "merge"), Ok("from-json"));
    check(&file("none.yaml", "merge"), Err("cannot read"));
    check(&file("neither.txt", "merge"), Err("neither YAML nor JSON"));
    let both =
        format!("[[runners.kubernetes.pod_spec]]\npatch = \"a: b\"\npatch_path = \"{path}/subdomain.yaml\"\n{FLAG}");
    check(&both, Err("both patch and patch_path"));
    check(
        &format!("[[runners.kubernetes.pod_spec]]\nname = \"x\"\n{FLAG}"),
        Err("neither patch nor patch_path"),
    );
}
