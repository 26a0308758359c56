//! What pause pods are made by.

use tasuki_runner::executor::kubernetes::{Settings, pause_deployment};

use super::golden::case;

fn deployment(section: &str) -> String {
    let settings = Settings::new(&case("pause", section).config()).unwrap_or_else(|error| panic!("{error}"));
    let made = pause_deployment(&settings, "manager-1").unwrap_or_else(|error| panic!("{error}"));
    serde_saphyr::to_string(&made).expect("is YAML")
}

/// As large as a job's pod and where one goes, with none of what it can do.
#[test]
fn deployments() {
    for (name, section) in [
        ("pause_plain", "[runners.kubernetes.autoscaler]\nmax_pause_pods = 1"),
        (
            "pause_all",
            "namespace = \"ci\"\nprivileged = true\nallowed_images = [\"ruby:*\"]\ncpu_request = \"500m\"\nmemory_limit = \"1Gi\"\n\
             helper_cpu_request = \"50m\"\nservice_memory_request = \"64Mi\"\nservice_account = \"builder\"\nscheduler_name = \"own\"\n\
             [[runners.kubernetes.services]]\nname = \"postgres:17\"\n\
             [runners.kubernetes.node_selector]\nrole = \"ci\"\n\
             [runners.kubernetes.node_tolerations]\n\"ci=yes\" = \"NoSchedule\"\n\
             [runners.kubernetes.pod_security_context]\nrun_as_non_root = true\nrun_as_user = 1000\n\
             [runners.kubernetes.autoscaler]\nmax_pause_pods = 1\npause_pod_image = \"registry.test/pause:1\"\n\
             pause_pod_priority_class_name = \"low\"\npause_pod_image_pull_secrets = [\"pull\"]",
        ),
    ] {
        insta::assert_snapshot!(name, deployment(section));
    }
}

/// One for each runner of a machine.
#[test]
fn names_differ_by_runner_machine_and_namespace() {
    let name = |section: &str, manager: &str| {
        let settings = Settings::new(&case("pause", section).config()).expect("is right");
        pause_deployment(&settings, manager)
            .expect("is made")
            .metadata
            .name
            .expect("has one")
    };
    let one = name("", "a");
    assert_eq!(one, name("", "a"));
    assert_ne!(one, name("", "b"));
    assert_ne!(one, name("namespace = \"ci\"", "a"));
}

#[test]
fn periods_are_checked() {
    for (policy, wanted) in [
        ("periods = [\"* * * *\"]", "five fields"),
        ("periods = [\"* 25 * * *\"]", "no cron expression"),
        (
            "periods = [\"* * * * *\"]\ntimezone = \"Europe/Nowhere\"",
            "no time zone",
        ),
        ("timezone = \"not a zone\"", "no time zone"),
        ("scale_factor = -1.0", "is no number from 0"),
    ] {
        let section = format!(
            "[runners.kubernetes.autoscaler]\nmax_pause_pods = 1\n[[runners.kubernetes.autoscaler.policy]]\n{policy}\n"
        );
        let error = Settings::new(&case("pause", &section).config()).expect_err(policy);
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(error.to_string().contains("autoscaler.policy[0]"), "{error}");
    }
}
