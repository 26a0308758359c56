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

/// Names that would be the same are made different, and a port that two want is refused.
///
/// Covers: GK-LIFE-14
#[test]
fn what_services_cannot_share() {
    let long = "a-service-whose-name-is-longer-than-forty-characters";
    let ports = json!([{"number": 80, "name": "web"}, {"number": 81, "name": "web"}, {"number": 80}]);
    let of = |number: u16, alias: &str| json!({"name": "nginx:1", "alias": alias, "ports": [{"number": number}]});
    let health = |alias: &str| json!({"name": "mysql:8", "alias": alias, "variables": [{"key": "HEALTHCHECK_TCP_PORT", "value": "3306"}]});
    golden(
        "shared_services",
        &[
            case("the same beginning", "")
                .job(json!({"services": [of(80, &format!("{long}-1")), of(81, &format!("{long}-2"))]})),
            case("the same port twice", "").job(json!({"image": {"name": "ruby:3", "ports": ports}})),
            case("one port of two", "").job(json!({"services": [of(80, "one"), of(80, "two")]})),
            case("one that both are waited for at", "").job(json!({"services": [health("db"), health("second")]})),
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
