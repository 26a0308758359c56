//! Whom containers run as.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFG-04
/// Covers: GK-CFG-08
/// Covers: GK-USR-01
/// Covers: GK-USR-02
/// Covers: GK-USR-03
/// Covers: GK-USR-04
/// Covers: GK-USR-06
/// Covers: GK-USR-09
/// Covers: GK-USR-15
/// Covers: GK-USR-22
/// Covers: GK-USR-23
#[test]
fn users() {
    let wants = |user: serde_json::Value| {
        let opts = json!({"kubernetes": {"user": user}});
        json!({
            "image": {"name": "ruby:3", "executor_opts": opts},
            "services": [{"name": "redis:7", "executor_opts": opts}],
            "variables": {"CUSTOM_USER_ID": "1234"},
        })
    };
    let pod = "[runners.kubernetes.pod_security_context]\nrun_as_user = 1500\nrun_as_group = 1500\n";
    let of = |part: &str, user: u32, group: u32| {
        format!(
            "[runners.kubernetes.{part}_container_security_context]\nrun_as_user = {user}\nrun_as_group = {group}\n"
        )
    };
    let listed = "allowed_users = [\"1000\", \"1001\", \"65534\"]\nallowed_groups = [\"1001\"]\n";
    golden(
        "users",
        &[
            case("of the job", "").job(wants(json!("1000"))),
            case("as a number", "").job(wants(json!(1000))),
            case("with a group", "").job(wants(json!("1000:1001"))),
            case("by a variable", "").job(wants(json!("${CUSTOM_USER_ID}"))),
            case("a name", "").job(wants(json!("user"))),
            case("root", "").job(wants(json!("0:0"))),
            case("root, listed", "allowed_users = [\"0\"]\nallowed_groups = [\"0\"]").job(wants(json!("0:0"))),
            case("listed", listed).job(wants(json!("1000:1001"))),
            case("not listed", listed).job(wants(json!("2000:2001"))),
            case("the pod's before the job's", pod).job(wants(json!("1000:1001"))),
            case(
                "the pod's user, the job's group",
                "[runners.kubernetes.pod_security_context]\nrun_as_user = 1500",
            )
            .job(wants(json!("1000:1001"))),
            case(
                "the container's before all",
                &format!("{pod}{}", of("build", 1000, 1001)),
            )
            .job(wants(json!("2000:2001"))),
            case(
                "the container's, not listed",
                &format!(
                    "{listed}{pod}{}{}{}",
                    of("build", 2000, 2001),
                    of("helper", 3000, 3001),
                    of("service", 4000, 4001)
                ),
            )
            .job(wants(json!("1000"))),
            case("root by the container's", &of("build", 0, 0)).job(wants(json!("1000"))),
        ],
    );
}
