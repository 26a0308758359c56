//! The image's own entry point.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-EP-03
/// Covers: GK-EP-09
/// Covers: GK-EP-12
/// Covers: GK-FF-03
#[test]
fn honoured() {
    let on = "[runners.feature_flags]\nFF_KUBERNETES_HONOR_ENTRYPOINT = true";
    golden(
        "entrypoint",
        &[
            case("not honoured", "").job(json!({"image": {"name": "ruby:3", "entrypoint": ["/own", "x"]}})),
            case("honoured", on),
            case("honoured by the environment", "").runner("environment = [\"FF_KUBERNETES_HONOR_ENTRYPOINT=true\"]"),
            case("of the job", on).job(json!({"image": {"name": "ruby:3", "entrypoint": ["/own", "x"]}})),
            case(
                "with exec",
                "poll_interval = 5\npoll_timeout = 62\n[runners.feature_flags]\nFF_KUBERNETES_HONOR_ENTRYPOINT = true\n\
                 FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY = true",
            ),
            case(
                "guest by an init container",
                "guest_delivery = \"init-container\"\n[runners.feature_flags]\nFF_KUBERNETES_HONOR_ENTRYPOINT = true",
            ),
        ],
    );
}
