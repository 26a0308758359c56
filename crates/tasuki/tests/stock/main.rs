//! A gitlab-runner that is not ours works for our server and does not notice.
//!
//! `TASUKI_STOCK_RUNNER=/path/to/gitlab-runner cargo test -p tasuki --test stock -- --ignored`, or
//! `cargo xtask test stock-runner`. Any version from 17.5 on; the shell executor is all that is used of it.

mod world;

use serde_json::{Value, json};

use world::World;

/// One job for each thing that a stock runner does with a payload.
const EVERYTHING: &str = r#"
stages: [one, two, three]
variables: {TOP: top, NEST: "$TOP/x", RAW: {value: "$TOP/x", expand: false}}
make:
  stage: one
  cache: {key: {files: [lock]}, paths: [deps/]}
  script:
    - mkdir -p out deps && echo hello > out/a.txt && echo no > out/b.tmp && echo d > deps/d
    - echo "BUILT=yes" > vars.env
    - echo '<testsuite name="s" tests="1"><testcase name="c" classname="k"/></testsuite>' > junit.xml
  artifacts: {paths: [out/], exclude: ["out/*.tmp"], reports: {dotenv: vars.env, junit: junit.xml}}
broken:
  stage: one
  script: [echo kept > kept.txt, exit 42]
  allow_failure: {exit_codes: [42]}
  artifacts: {paths: [kept.txt], when: on_failure}
again:
  stage: one
  script:
    - n=$(cat "$CI_BUILDS_DIR/../count" 2>/dev/null || echo 0); echo $((n + 1)) > "$CI_BUILDS_DIR/../count"
    - if [ "$n" = 0 ]; then exit 7; fi
  retry: {max: 2, exit_codes: [7]}
slow:
  stage: one
  timeout: 10 seconds
  script: [sleep 300]
  allow_failure: true
use:
  stage: two
  needs: [make]
  cache: {key: {files: [lock]}, paths: [deps/], policy: pull}
  before_script: [echo before]
  script:
    - test "$(cat out/a.txt)" = hello && test ! -e out/b.tmp
    - echo "built=$BUILT cached=$(cat deps/d) nest=$NEST raw=$RAW"
    - cat "$FILE"
    - echo "x${SECRET}y"
    - printf %s "${SECRET:0:6}"; sleep 1; echo "${SECRET:6}"
    - echo "token=<$CI_JOB_TOKEN>"
  after_script: [echo "status=$CI_JOB_STATUS"]
all:
  stage: two
  script: [test -e out/a.txt, test -e kept.txt]
none:
  stage: three
  dependencies: []
  script: [test ! -e out, test -z "$BUILT"]
"#;

#[test]
#[ignore = "needs a gitlab-runner; run by `cargo xtask test stock-runner`"]
fn a_stock_runner_does_all_of_a_pipeline() {
    let world = World::with_runner();
    let project = world.project("everything", EVERYTHING);
    for (key, value) in [
        (
            "SECRET",
            json!({"key": "SECRET", "value": "hidden-in-the-log", "masked": true}),
        ),
        ("FILE", json!({"key": "FILE", "value": "in a file\n", "file": true})),
    ] {
        world.call("PUT", &format!("/projects/{project}/variables/{key}"), &value);
    }
    let pipeline = world.run(project);
    let ended = world.end_of(pipeline);
    let job = |name: &str| world.job(pipeline, name, &["success", "failed", "error", "skipped", "canceled"]);
    for name in ["make", "again", "use", "all", "none"] {
        let job = job(name);
        assert_eq!(job["status"], "success", "{job:#}\n{}", world.log_of(&job));
    }
    assert_eq!(ended, "success", "what failed was allowed to");
    assert_eq!(job("again")["tasks"].as_array().map(Vec::len), Some(2));
    let broken = job("broken");
    assert_eq!(
        (&broken["status"], &broken["exit_code"]),
        (&json!("failed"), &json!(42))
    );
    let slow = job("slow");
    assert_eq!(
        (&slow["status"], &slow["failure_reason"]),
        (&json!("failed"), &json!("job_execution_timeout"))
    );

    let log = world.log_of(&job("use"));
    for part in [
        "built=yes cached=d nest=top/x raw=$TOP/x",
        "in a file",
        "x[MASKED]y",
        "token=<[MASKED]>",
        "status=success",
    ] {
        assert!(log.contains(part), "{part} is missing in:\n{log}");
    }
    assert!(
        !log.contains("hidden"),
        "a secret shows in:
{log}"
    );
    let files = world.call("GET", &format!("/jobs/{}/artifacts", job("make")["id"]), &Value::Null);
    let mut kinds: Vec<_> = files["items"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["kind"].as_str().unwrap_or_default())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["archive", "dotenv", "junit"]);
}

#[test]
#[ignore = "needs a gitlab-runner; run by `cargo xtask test stock-runner`"]
fn a_cancelled_job_of_a_stock_runner_cleans_up() {
    let world = World::with_runner();
    let config = "long:\n  script: [\"while true; do echo on; sleep 1; done\"]\n  after_script: [\"echo tidied=$CI_JOB_STATUS\"]\n";
    let project = world.project("cancel", config);
    let pipeline = world.run(project);
    world.job(pipeline, "long", &["running"]);
    world.call("POST", &format!("/pipelines/{pipeline}/cancel"), &json!({}));
    assert_eq!(world.end_of(pipeline), "canceled");
    let log = world.log_of(&world.job(pipeline, "long", &["canceled"]));
    assert!(log.contains("tidied=canceled"), "{log}");
}

/// The runner keeps what it could not send and goes on where the server's log ends.
#[test]
#[ignore = "needs a gitlab-runner; run by `cargo xtask test stock-runner`"]
fn a_stock_runner_outlives_the_death_of_the_server() {
    const LINES: usize = 120;
    let mut world = World::with_runner();
    let config = format!("long:\n  script: ['for i in $(seq {LINES}); do echo \"kilometre=$i\"; sleep 0.1; done']\n");
    let project = world.project("restart", &config);
    let pipeline = world.run(project);
    world.job(pipeline, "long", &["running"]);
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_secs(3));
        world.kill_and_restart_server();
    }
    assert_eq!(world.end_of(pipeline), "success");
    let job = world.job(pipeline, "long", &["success"]);
    assert_eq!(job["tasks"].as_array().map(Vec::len), Some(1), "{job:#}");
    let log = world.log_of(&job);
    let seen: Vec<usize> = log
        .lines()
        .filter_map(|line| line.split("kilometre=").nth(1)?.trim_end().parse().ok())
        .collect();
    assert_eq!(seen, (1..=LINES).collect::<Vec<_>>(), "the log is not whole:\n{log}");
}

#[test]
#[ignore = "needs a gitlab-runner; run by `cargo xtask test stock-runner`"]
fn a_stock_runner_registers_and_leaves() {
    let world = World::start();
    let names = || -> Vec<String> {
        let runners = world.call("GET", "/runners", &Value::Null);
        let all = runners["items"].as_array().expect("runners").clone();
        all.iter()
            .map(|r| r["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let made = world.call("POST", "/runners", &json!({"name": "made", "run_untagged": true}));
    let token = made["token"].as_str().expect("a token");
    world.register("made", &["--token", token]);
    let registration = world.call(
        "POST",
        "/tokens",
        &json!({"name": "old way", "scope": "runner_registration"}),
    );
    let secret = registration["secret"].as_str().expect("a token");
    world.register(
        "old way",
        &[
            "--registration-token",
            secret,
            "--tag-list",
            "a,b",
            "--run-untagged=false",
        ],
    );
    assert_eq!(names(), ["made", "old way"]);

    let (valid, text) = world.stock(&["verify"]);
    assert!(valid, "{text}");
    let before = world.read("config.toml");
    let (reset, text) = world.stock(&["reset-token", "--name", "made"]);
    assert!(reset && world.read("config.toml") != before, "{text}");
    assert!(world.stock(&["verify"]).0);
    let (left, text) = world.stock(&["unregister", "--name", "old way"]);
    assert!(left, "{text}");
    assert_eq!(names(), ["made"]);
    // A runner that was made with its token stays; the process behind it goes.
    let (left, text) = world.stock(&["unregister", "--all-runners"]);
    assert!(left, "{text}");
    let runners = world.call("GET", "/runners", &Value::Null);
    assert_eq!(runners["items"][0]["managers"], json!([]), "{runners:#}");
    let (gone, text) = world.stock(&[
        "register",
        "--non-interactive",
        "--url",
        &world.url(),
        "--token",
        "glrt-wrong",
        "--executor",
        "shell",
    ]);
    assert!(!gone, "a wrong token registers nothing: {text}");
}
