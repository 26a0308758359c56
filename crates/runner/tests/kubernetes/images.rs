//! Which images.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFGX-03
/// Covers: GK-CFG-05
/// Covers: GK-CFG-07
/// Covers: GK-CFG-21
/// Covers: GK-CFG-23
/// Covers: GK-OSARCH-07
/// Covers: GK-OSARCH-08
/// Covers: GK-OSARCH-09
/// Covers: GK-AFF-02
/// Covers: GK-RST-01
/// Covers: GK-RST-02
/// Covers: GK-RST-03
/// Covers: GK-RST-04
#[test]
fn images() {
    let none = json!({"image": {"name": ""}});
    let image = |name: &str| json!({"image": {"name": name}});
    let service = |name: &str| json!({"services": [{"name": name}]});
    let allowed = "allowed_images = [\"my.registry.tld:5000/ruby:*\", \"my.registry.tld:5000/*/*:*\"]";
    let services = "allowed_services = [\"postgres:9.4\", \"my.registry.tld:5000/*:*\"]";
    golden(
        "images",
        &[
            case("of the runner", "image = \"alpine:3.11\"").job(none.clone()),
            case("of the runner with variables", "image = \"alpine:$CI_COMMIT_REF_SLUG\"").job(none.clone()),
            case("none", "").job(none),
            case("allowed", allowed).job(image("my.registry.tld:5000/ruby:3")),
            case("allowed below", allowed).job(image("my.registry.tld:5000/a/b:3")),
            case("a star stops at a slash", allowed).job(image("my.registry.tld:5000/a/b/c:3")),
            case("another registry", allowed).job(image("evil.tld/my.registry.tld:5000/ruby:3")),
            case("no tag", allowed).job(image("my.registry.tld:5000/ruby")),
            case("by digest", allowed).job(image("my.registry.tld:5000/ruby@sha256:00")),
            case("a space before", allowed).job(image(" my.registry.tld:5000/ruby:3")),
            case("the runner's own", "image = \"busybox:1\"\nallowed_images = [\"ruby:*\"]").job(image("busybox:1")),
            case("service allowed", services).job(service("postgres:9.4")),
            case("service by its registry", services).job(service("my.registry.tld:5000/redis:7")),
            case("service refused", services).job(service("postgres:9.5")),
            case("helper", "helper_image = \"r.example.com/helper:$CI_COMMIT_REF_SLUG\""),
            case("helper flavor", "helper_image_flavor = \"ubuntu\""),
            case("helper flavor alpine", "helper_image_flavor = \"alpine\""),
            case("helper of an odd flavor", "helper_image_flavor = \"alpine9\""),
            case("helper by selector", "[runners.kubernetes.node_selector]\n\"kubernetes.io/arch\" = \"arm64\""),
            case(
                "helper by the job's selector",
                "node_selector_overwrite_allowed = \".*\"\n[runners.kubernetes.node_selector]\n\"kubernetes.io/arch\" = \"arm64\"",
            )
            .variables(json!({"KUBERNETES_NODE_SELECTOR_ARCH": "kubernetes.io/arch=s390x"})),
            case(
                "no helper by affinity",
                "[[runners.kubernetes.affinity.node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms]]\n\
                 match_expressions = [{ key = \"kubernetes.io/arch\", operator = \"In\", values = [\"arm64\"] }]",
            ),
            case("windows", "[runners.kubernetes.node_selector]\n\"kubernetes.io/os\" = \"windows\""),
        ],
    );
}
