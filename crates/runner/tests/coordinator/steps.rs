//! Typed steps of the payload's `tasuki` object.

use serde_json::{Value, json};

use super::bench::{Bench, payload, text, variable};
use super::fake::{Job, Phase};

/// Runs a job of these steps.
async fn run(steps: Value, change: impl FnOnce(&mut Value)) -> Job {
    let mut bench = Bench::new().await;
    let mut job = payload(1, &["echo the script of the payload does not run"]);
    variable(&mut job, "BASH_ENV", "$RUNNER_TEMP_PROJECT_DIR/.bash_env", &json!({}));
    job["tasuki"] = json!({"steps": steps});
    change(&mut job);
    bench.fake.add(1, job);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    bench.stop().await;
    job
}

async fn check(steps: Value, phase: Phase, lines: &[&str], without: &[&str]) -> Job {
    let job = run(steps, |_| {}).await;
    let log = text(&job);
    assert_eq!(job.phase, phase, "{log}");
    for line in lines {
        assert!(log.contains(&format!("\n{line}\n")), "{line:?} is not in {log}");
    }
    for line in without {
        assert!(!log.contains(&format!("\n{line}\n")), "{line:?} is in {log}");
    }
    job
}

#[tokio::test]
async fn steps_run_as_their_when_says() {
    let job = check(
        json!([
            {"type": "run", "command": "echo one\necho two"},
            {"type": "run", "name": "Fails", "command": "false | cat; echo unreached"},
            {"type": "run", "command": "echo skipped"},
            {"type": "run", "command": "echo rescue", "when": "on_failure"},
            {"type": "run", "command": "exit 9", "when": "always"},
            {"type": "run", "command": "echo end", "when": "always"},
        ]),
        Phase::Failed,
        &["one", "two", "rescue", "end"],
        &["unreached", "skipped", "the script of the payload does not run"],
    )
    .await;
    let last = job.final_update.unwrap();
    assert_eq!(last["exit_code"], json!(1), "the first failure is the job's: {last}");
}

#[tokio::test]
async fn a_step_has_its_own_shell_folder_and_environment() {
    check(
        json!([
            {"type": "run", "command": "echo \"[$0] $A in ${PWD##*/}\" > /dev/null; echo \"$A in ${PWD##*/}\"",
             "shell": "/bin/sh -e", "directory": "deep/er", "env": {"A": "$B"}},
            {"type": "run", "command": "print('python' + '!')", "shell": "python3 {0}"},
            {"type": "run", "command": "echo \"A is [$A]\"; cd ~ && echo home", "directory": "~/x"},
        ]),
        Phase::Success,
        &["$B in er", "python!", "A is []", "home"],
        &[],
    )
    .await;
}

/// Covers: CM-AGENT-01, CM-AGENT-03
#[tokio::test]
async fn what_steps_leave_in_bash_env_is_there_in_later_ones_and_a_halt_ends_the_job_well() {
    check(
        json!([
            {"type": "run", "command": "echo 'export SET=early' >> \"$BASH_ENV\""},
            {"type": "run", "command": "echo \"set $SET\"; command -v circleci || echo no alias"},
            {"type": "run", "command": "circleci-agent step halt; echo same-step"},
            {"type": "run", "command": "echo never", "when": "always"},
        ]),
        Phase::Success,
        &["set early", "no alias", "same-step"],
        &["never"],
    )
    .await;
}

#[tokio::test]
async fn background_steps_run_beside_the_others_and_end_with_the_job() {
    check(
        json!([
            {"type": "run", "command": "touch started; sleep 600", "background": true},
            {"type": "run", "command": "while [ ! -e started ]; do sleep 0.01; done; echo beside"},
        ]),
        Phase::Success,
        &["beside"],
        &[],
    )
    .await;
}

#[tokio::test]
async fn a_silent_step_is_ended_and_a_flaky_one_repeated() {
    let job = check(
        json!([
            {"type": "run", "command": "echo x >> tries; [ $(wc -l < tries) -ge 3 ]; echo third", "max_reruns": 2, "rerun_delay_s": 0},
            {"type": "run", "command": "sleep 600", "no_output_timeout_s": 1},
        ]),
        Phase::Failed,
        &["third"],
        &[],
    )
    .await;
    assert!(text(&job).contains("the step printed nothing for"), "{}", text(&job));
}

/// Covers: CM-DATA-02
#[tokio::test]
async fn workspace_artifacts_and_test_results_are_uploaded_also_after_a_failure() {
    let job = check(
        json!([
            {"type": "run", "command": "mkdir -p out/sub; echo a > out/a; echo b > out/sub/b; echo '<testsuite/>' > out/r.xml"},
            {"type": "persist_workspace", "root": "out", "paths": ["a", "sub/*"]},
            {"type": "run", "command": "false"},
            {"type": "persist_workspace", "root": "out", "paths": ["a"]},
            {"type": "store_artifacts", "path": "out", "destination": "all/files", "when": "always"},
            {"type": "store_artifacts", "path": "out/a", "when": "always"},
            {"type": "store_artifacts", "path": "nothing", "when": "always"},
            {"type": "store_test_results", "path": "out", "when": "always"},
        ]),
        Phase::Failed,
        &[],
        &[],
    )
    .await;
    let kinds: Vec<(String, String)> = job
        .artifacts
        .iter()
        .map(|(query, name, _)| {
            let kind = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("artifact_type="))
                .unwrap();
            (kind.to_owned(), name.clone())
        })
        .collect();
    let expected = [
        ("workspace", "workspace-0001.tar.zst"),
        ("archive", "all-files.zip"),
        ("file", "out-a"),
        ("junit", "junit-0007.gz"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    assert_eq!(kinds, expected, "{}", text(&job));
}

#[tokio::test]
async fn nothing_matching_a_workspace_path_fails_the_step() {
    let job = check(
        json!([{"type": "persist_workspace", "root": ".", "paths": ["nothing"]}]),
        Phase::Failed,
        &[],
        &[],
    )
    .await;
    assert!(text(&job).contains("did not match any files"), "{}", text(&job));
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_runs() {
    for (step, word) in [
        (json!({"type": "add_ssh_keys", "fingerprints": []}), "add_ssh_keys"),
        (
            json!({"type": "setup_remote_docker", "version": null}),
            "setup_remote_docker",
        ),
    ] {
        let first = json!({"type": "run", "command": "echo ran"});
        let job = check(json!([first, step]), Phase::Failed, &[], &["ran"]).await;
        assert!(text(&job).contains(word), "{}", text(&job));
    }
}
