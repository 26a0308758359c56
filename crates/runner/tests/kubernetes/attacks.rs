//! What a job tries and does not get: every guard between its variables and its pod.

use clap::{CommandFactory as _, Parser};
use serde_json::json;
use tasuki_runner::commands::RunnerCommand;

use super::golden::{Case, case, shown};

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    _command: RunnerCommand,
}

/// What a pod is made of, or why there is none.
fn outcome(case: &Case) -> Result<serde_json::Value, String> {
    case.planned()
        .map(|planned| shown(&planned))
        .map_err(|error| error.to_string())
}

/// Everything that an environment variable can set when a runner is registered, set by a job: `privileged`, `host`, `volumes`,
/// `service_account`, patches and the rest.
#[test]
fn a_jobs_variables_are_no_settings_of_the_runner() {
    let program = Program::command();
    let register = program.find_subcommand("register").expect("is there");
    let names: Vec<String> = register
        .get_arguments()
        .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("KUBERNETES_"))
        .chain(
            [
                "KUBERNETES_POD_SPEC",
                "KUBERNETES_VOLUMES",
                "KUBERNETES_HOST_PATH",
                "KUBERNETES_SERVICE_ACCOUNT_NAME",
                "RUNNERS_KUBERNETES_PRIVILEGED",
            ]
            .map(str::to_owned),
        )
        .collect();
    for wanted in [
        "KUBERNETES_PRIVILEGED",
        "KUBERNETES_SERVICE_ACCOUNT",
        "KUBERNETES_NAMESPACE",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} in {names:?}");
    }
    let secret = |value: &str| {
        let variables: Vec<_> = names
            .iter()
            .map(|name| json!({"key": name, "value": value, "public": false, "masked": false}))
            .collect();
        json!({"variables_raw": variables})
    };
    for section in [
        "",
        "host = \"https://k.example.com\"\nservice_account = \"own\"\nprivileged = false",
    ] {
        let plain = outcome(&case("plain", section)).expect("is made");
        for value in [
            "true",
            "1",
            "kube-system",
            "[]",
            "10",
            "a=b",
            "[{\"patch\": \"hostPID: true\"}]",
        ] {
            let attacked = case("attacked", section).job(secret(value));
            assert_eq!(outcome(&attacked).as_ref(), Ok(&plain), "{value}");
        }
    }
}

/// A guard that matches anywhere lets text around its match through: the whole still has to be a name, for it becomes a part of an
/// address of the API.
#[test]
fn a_name_with_more_than_a_name_leaves_no_place() {
    let section = "namespace_overwrite_allowed = \"ci-\"\nservice_account_overwrite_allowed = \"ci-\"";
    for name in [
        "kube-system/pods?x=ci-1",
        "../kube-system/ci-1",
        "ci-1/../kube-system",
        "ci-1%2f..%2fkube-system",
        "ci-1?dryRun=All",
        "ci-1#",
        "ci-1\nx",
        " ci-1",
        "ci-1 ",
        "CI-1-ci-1",
        "-ci-1",
        "ci-1-",
        "ci-1..x",
        "ci-1.",
        "ci-ä",
        &format!("ci-{}", "x".repeat(251)),
    ] {
        for variable in ["KUBERNETES_NAMESPACE_OVERWRITE", "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE"] {
            let error = outcome(&case("attacked", section).variables(json!({variable: name}))).expect_err(name);
            assert!(
                error.contains("is no name in Kubernetes") && error.contains(variable),
                "{name}: {error}"
            );
        }
    }
    for name in ["ci-1", "x.ci-1.y", &format!("ci-{}", "x".repeat(250))] {
        let made = outcome(&case("allowed", section).variables(json!({"KUBERNETES_NAMESPACE_OVERWRITE": name})));
        assert_eq!(made.expect(name)["namespace"], name);
    }
}

#[test]
fn odd_references_pass_no_list_of_images() {
    let section = "image = \"registry.example.com/team/own:1\"\nallowed_images = [\"registry.example.com/team/*:*\", \"ruby:3.*\"]\n\
                   allowed_services = [\"registry.example.com/team/*:*\", \"ruby:3.*\"]";
    for name in [
        "evil.example.com/registry.example.com/team/x:1",
        "registry.example.com.evil.example.com/team/x:1",
        "registry.example.com:5000/team/x:1",
        "registry.example.com@evil.example.com/team/x:1",
        "https://registry.example.com/team/x:1",
        "//registry.example.com/team/x:1",
        "registry.example.com//team/x:1",
        "registry.example.com/team/../other/x:1",
        "registry.example.com/team/sub/x:1",
        "registry.example.com/team/x",
        "registry.example.com/team/$NAME:1",
        "REGISTRY.example.com/team/x:1",
        "registry.example.com/teams/x:1",
        " registry.example.com/team/x:1",
        "ruby:2.7",
        "ruby:3",
        "library/ruby:3.1",
        "docker.io/library/ruby:3.1",
        "xruby:3.1",
        "ruby@sha256:00",
    ] {
        for job in [
            json!({"image": {"name": name}}),
            json!({"services": [{"name": name}], "image": {"name": "ruby:3.1"}}),
        ] {
            let mut job = job;
            job["variables"] = json!({"NAME": "../../evil"});
            let error = outcome(&case("attacked", section).job(job)).expect_err(name);
            assert!(error.contains("is not allowed on this runner"), "{name}: {error}");
        }
    }
}

/// A runner whose own flag says that its patches count, and whose patch takes a right away.
#[test]
fn a_job_turns_no_patch_of_the_runner_off() {
    let patch = "[[runners.kubernetes.pod_spec]]\npatch_type = \"merge\"\npatch = '{\"hostUsers\": false}'\n";
    let forced = case("forced", patch)
        .runner("[runners.feature_flags]\nFF_USE_ADVANCED_POD_SPEC_CONFIGURATION = true")
        .variables(json!({"FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": "false"}));
    assert_eq!(outcome(&forced).expect("is made")["pod"]["spec"]["hostUsers"], false);
}
