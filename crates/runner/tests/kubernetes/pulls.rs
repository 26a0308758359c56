//! When images are pulled.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-PULL-01
/// Covers: GK-PULL-02
/// Covers: GK-PULL-03
/// Covers: GK-PULL-08
/// Covers: GK-PULL-09
/// Covers: GK-PULL-10
/// Covers: GK-CFG-06
/// Covers: GK-CFG-52
/// Covers: GK-RST-05
/// Covers: GK-RST-06
/// Covers: GK-RST-07
/// Covers: GK-RST-08
/// Covers: GK-RST-09
#[test]
fn policies() {
    let services = json!({"services": [{"name": "redis:7"}]});
    let wants = |policies: &[&str]| json!({"image": {"name": "ruby:3", "pull_policy": policies}});
    golden(
        "pull_policies",
        &[
            case("one", "pull_policy = \"never\"").job(services.clone()),
            case("several", "pull_policy = [\"always\", \"if-not-present\"]").job(services),
            case("if not present", "pull_policy = \"if-not-present\""),
            case("empty", "pull_policy = \"\""),
            case(
                "of the job",
                "allowed_pull_policies = [\"always\", \"never\"]\npull_policy = \"never\"",
            )
            .job(wants(&["always"])),
            case("of the job, not allowed", "pull_policy = \"never\"").job(wants(&["always"])),
            case("of the job, where the runner has none", "").job(wants(&["always"])),
            case(
                "of the job, in part",
                "allowed_pull_policies = [\"never\"]\npull_policy = \"never\"",
            )
            .job(wants(&["always", "never"])),
            case(
                "intersection",
                "pull_policy = [\"always\", \"if-not-present\"]\nallowed_pull_policies = [\"if-not-present\"]",
            ),
            case(
                "empty intersection",
                "pull_policy = [\"always\"]\nallowed_pull_policies = [\"if-not-present\"]",
            ),
            case("no policy", "pull_policy = \"sometimes\""),
        ],
    );
}

/// A pod for each policy, the containers apart from one another.
#[test]
fn the_next_policy_makes_another_pod() {
    let case = case(
        "several",
        "pull_policy = [\"always\", \"if-not-present\", \"always\"]\nguest_delivery = \"init-container\"",
    );
    let mut planned = case.planned().unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Vec::new();
    let mut look = |planned: &tasuki_runner::executor::kubernetes::Planned| {
        let spec = planned.pod.spec.clone().unwrap();
        let all = spec.init_containers.into_iter().flatten().chain(spec.containers);
        let policies: Vec<_> = all.map(|one| one.image_pull_policy.unwrap_or_default()).collect();
        seen.push(format!(
            "{} {}",
            planned.pod.metadata.name.clone().unwrap(),
            policies.join(" ")
        ));
    };
    look(&planned);
    for (container, suffix) in [
        ("helper", "aaaaaaaa"),
        ("build", "bbbbbbbb"),
        ("init-permissions", "cccccccc"),
        ("helper", "dddddddd"),
    ] {
        if planned.fall_back(container, suffix) {
            look(&planned);
        }
    }
    assert!(!planned.fall_back("nothing", "eeeeeeee"));
    let name = |suffix: &str| format!("runner-abcdefghi-project-7-concurrent-1-{suffix}");
    assert_eq!(
        seen,
        [
            format!("{} Always Always Always", name("abcd1234")),
            format!("{} IfNotPresent Always IfNotPresent", name("aaaaaaaa")),
            format!("{} IfNotPresent IfNotPresent IfNotPresent", name("bbbbbbbb")),
            format!("{} Always IfNotPresent Always", name("cccccccc")),
        ]
    );
}
