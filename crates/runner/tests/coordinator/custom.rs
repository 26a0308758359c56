//! A whole job on the custom executor: which stages the driver sees, and what comes back.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tasuki_runner::config::{Config, CustomConfig};

use super::bench::{Bench, payload, text, variable};
use super::fake::{Job, Phase};

/// Runs scripts on this machine and notes what it was called for.
const DRIVER: &str = r#"#!/bin/sh
root=$(dirname "$0")
echo "$1${3:+ }$3" >> "$root/calls"
case $1 in
prepare) test -s "$JOB_RESPONSE_FILE" && cp "$JOB_RESPONSE_FILE" "$root/response" ;;
run)
  bash "$2"
  code=$?
  test "$3" = "$(cat "$root/broken" 2>/dev/null)" && exit "$SYSTEM_FAILURE_EXIT_CODE"
  test $code = 0 && exit 0
  echo $code > "$BUILD_EXIT_CODE_FILE"
  exit "$BUILD_FAILURE_EXIT_CODE" ;;
esac
"#;

/// The job's end, and how the driver was called. `broken` is the stage in which the driver itself fails.
async fn run(broken: Option<&str>, job: Value) -> (Job, Vec<String>, String) {
    let mut bench = Bench::new().await;
    let root = bench.dir.path().to_owned();
    let at = |name: &str| root.join(name);
    let driver = at("driver");
    std::fs::write(&driver, DRIVER).unwrap();
    std::fs::set_permissions(&driver, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(at("broken"), broken.unwrap_or_default()).unwrap();
    let program = driver.to_string_lossy().into_owned();
    let mut runner = bench.runner();
    "custom".clone_into(&mut runner.executor);
    runner.builds_dir = bench.builds().to_string_lossy().into_owned();
    runner.cache_dir = at("cache").to_string_lossy().into_owned();
    runner.custom = Some(CustomConfig {
        prepare_exec: program.clone(),
        prepare_args: vec!["prepare".to_owned()],
        run_exec: program.clone(),
        run_args: vec!["run".to_owned()],
        cleanup_exec: program,
        cleanup_args: vec!["cleanup".to_owned()],
        ..CustomConfig::default()
    });
    let (calls, response) = (at("calls"), at("response"));
    bench.fake.add(1, job);
    bench.start_with(Config::single(1, runner), None).await;
    let job = bench.fake.until_final(1).await;
    let calls = std::fs::read_to_string(calls).unwrap();
    let response = std::fs::read_to_string(response).unwrap();
    assert!(
        !at("work/.tasuki/custom").read_dir().unwrap().any(|_| true),
        "nothing is left"
    );
    bench.stop().await;
    (job, calls.lines().map(str::to_owned).collect(), response)
}

fn whole_job(lines: &[&str]) -> Value {
    let mut job = payload(1, lines);
    job["cache"] = json!([{"key": "k", "paths": ["dir/"], "policy": "pull-push", "when": "always"}]);
    job["artifacts"] = json!([{"name": "a", "paths": ["dir/"], "when": "always", "artifact_type": "archive", "artifact_format": "zip"}]);
    job["steps"].as_array_mut().unwrap().push(
        json!({"name": "after_script", "script": ["echo after $CI_JOB_STATUS"], "timeout": 60, "when": "always", "allow_failure": true}),
    );
    variable(&mut job, "KEY", "in a file", &json!({"file": true}));
    variable(&mut job, "WORD", "it's $KEY", &json!({"raw": true}));
    job
}

#[tokio::test]
async fn a_driver_sees_the_stages_in_gitlabs_order() {
    let lines = ["cat $KEY; echo; echo $WORD", "mkdir dir; echo kept > dir/file"];
    let (job, calls, response) = run(None, whole_job(&lines)).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    let wanted = [
        "prepare",
        "run prepare_script",
        "run get_sources",
        "run restore_cache",
        "run build_script",
        "run after_script",
        "run archive_cache",
        "run upload_artifacts_on_success",
        "run cleanup_file_variables",
        "cleanup",
    ];
    assert_eq!(calls, wanted, "{log}");
    assert!(log.contains("\nin a file\nit's $KEY\n"), "{log}");
    assert!(log.contains("\nafter success\n"), "{log}");
    assert!(log.contains("Using Custom executor...\n"), "{log}");
    assert_eq!(job.artifacts.len(), 1, "{log}");
    assert!(
        !log.contains("answer {"),
        "answers of scripts are not for people: {log}"
    );
    let response: Value = serde_json::from_str(&response).unwrap();
    assert_eq!(
        (&response["id"], &response["token"]),
        (&json!(1), &json!("job-token-1"))
    );
}

#[tokio::test]
async fn a_script_fails_with_its_own_exit_code() {
    let (job, calls, _) = run(None, whole_job(&["exit 42"])).await;
    let last = job.final_update.clone().unwrap();
    let reason = (&last["exit_code"], &last["failure_reason"]);
    assert_eq!(reason, (&json!(42), &json!("script_failure")), "{}", text(&job));
    let tail = [
        "run archive_cache_on_failure",
        "run upload_artifacts_on_failure",
        "run cleanup_file_variables",
        "cleanup",
    ];
    assert_eq!(calls[calls.len() - 4..], tail, "{}", text(&job));
    assert!(text(&job).contains("\nafter failed\n"), "{}", text(&job));
}

#[tokio::test]
async fn a_drivers_own_fault_is_a_system_failure() {
    let (job, calls, _) = run(Some("build_script"), payload(1, &["true"])).await;
    let last = job.final_update.clone().unwrap();
    assert_eq!(last["failure_reason"], "runner_system_failure", "{}", text(&job));
    let words = "go on after run_exec (build_script): the driver ended with exit status 2 (SYSTEM_FAILURE_EXIT_CODE)";
    assert!(text(&job).contains(words), "{}", text(&job));
    assert_eq!(calls.last().map(String::as_str), Some("cleanup"));
}
