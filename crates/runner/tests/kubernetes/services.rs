//! Services.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-LIFE-10
/// Covers: GK-LIFE-11
/// Covers: GK-CFG-59
/// Covers: GK-SVC-01
/// Covers: GK-SVC-03
/// Covers: GK-SVC-04
/// Covers: GK-SVC-05
#[test]
fn services() {
    let own = "[[runners.kubernetes.services]]\n";
    let ports = json!([{"number": 80, "protocol": "http", "name": "web"}, {"number": 81}]);
    golden(
        "services",
        &[
            case(
                "of the runner",
                &format!(
                    "{own}name = \"postgres:12-alpine\"\nalias = \"db1\"\n{own}name = \"percona:latest\"\nalias = \"db2 second\"\n\
                     entrypoint = [\"entrypoint.sh\"]\ncommand = [\"executable\", \"param1\"]\nenvironment = [\"A=$CI_COMMIT_REF_SLUG\", \"B=1=2\"]\n{own}alias = \"none\""
                ),
            ),
            case("unnamed", "").job(json!({"services": [{"name": "redis:7"}, {"name": "postgres:16"}]})),
            case("some named", "").job(json!({"services": [
                {"name": "redis:7"}, {"name": "postgres:16", "alias": "Bad_Name db"}, {"name": "mysql:8"}, {"name": "x:1", "alias": "svc-2"}, {"name": "y:1"}, {"name": "z:1"},
            ]})),
            case("of names that are taken", "").job(json!({"services": [
                {"name": "redis:7", "alias": "build"}, {"name": "redis:7", "alias": "helper,init-permissions"},
                {"name": "redis:7", "alias": "one"}, {"name": "redis:7", "alias": "one"},
            ]})),
            case("of the runner and the job", &format!("{own}name = \"postgres:12\"")).job(json!({"services": [{"name": "redis:7"}]})),
            case("with variables", "").job(json!({"services": [{
                "name": "redis:7", "entrypoint": ["/e"], "command": ["c"],
                "variables": [{"key": "OWN", "value": "$CI_COMMIT_REF_SLUG costs $$5"}, {"key": "CI_SERVER", "value": "no"}, {"key": "RAW", "value": "$RAW", "raw": true}],
            }]})),
            case("with ports", "").job(json!({
                "image": {"name": "ruby:3", "ports": ports}, "services": [{"name": "nginx:1", "alias": "web", "ports": ports}],
            })),
        ],
    );
}

/// What everybody may see, services see, too.
#[test]
fn public_variables() {
    let planned = case("one", "")
        .job(json!({"services": [{"name": "redis:7"}]}))
        .planned();
    let planned = planned.unwrap_or_else(|error| panic!("{error}"));
    let spec = planned.pod.spec.unwrap();
    let env = |name: &str| spec.containers.iter().find(|one| one.name == name).unwrap().env.clone();
    assert!(env("svc-0").is_some_and(|env| env.iter().any(|one| one.name == "CI_COMMIT_SHA")));
    assert_eq!(env("svc-0"), env("build"));
}
