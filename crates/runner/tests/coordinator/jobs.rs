//! Jobs from request to result.

use std::time::{Duration, Instant};

use serde_json::json;
use tasuki_runner::config::Config;

use super::bench::{Bench, payload, text, variable};
use super::fake::{Fault, Phase};

#[tokio::test]
async fn a_job_succeeds() {
    let job = Bench::script(&["echo hello $CI_JOB_STATUS", "pwd"]).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    let last = job.final_update.unwrap();
    assert!(
        last.get("exit_code").is_none() && last.get("failure_reason").is_none(),
        "{last}"
    );
    assert!(
        log.contains("\u{1b}[32;1m$ echo hello $CI_JOB_STATUS\u{1b}[0;m\nhello running\n"),
        "{log}"
    );
    assert!(log.contains("/g/p\n"), "the folder is named after the project: {log}");
    assert!(
        log.contains(":prepare_executor\r\u{1b}[0K\u{1b}[36;1mPreparing the \"shell\" executor"),
        "{log}"
    );
    assert!(log.trim_end().ends_with("Job succeeded\u{1b}[0;m"), "{log}");
    let order: Vec<_> = [
        "prepare_executor",
        "prepare_script",
        "get_sources",
        "step_script",
        "cleanup_file_variables",
    ]
    .iter()
    .map(|stage| {
        log.find(&format!(":{stage}\r"))
            .unwrap_or_else(|| panic!("{stage} is missing: {log}"))
    })
    .collect();
    assert!(order.is_sorted(), "{log}");
    assert_eq!(
        job.updates[0]["state"], "running",
        "the first update acknowledges the job"
    );
}

#[tokio::test]
async fn a_job_fails_with_its_exit_code() {
    let job = Bench::script(&["exit 42", "echo never"]).await;
    let last = job.final_update.clone().unwrap();
    assert_eq!(
        (job.phase, &last["exit_code"], &last["failure_reason"]),
        (Phase::Failed, &json!(42), &json!("script_failure"))
    );
    assert!(
        text(&job).contains("ERROR: Job failed: exit status 42"),
        "{}",
        text(&job)
    );
    assert!(!text(&job).contains("\nnever\n"));
}

#[tokio::test]
async fn after_script_sees_the_result_and_its_own_failure_is_ignored() {
    let mut bench = Bench::new().await;
    let mut job = payload(1, &["export X=1; false"]);
    job["steps"].as_array_mut().unwrap().push(
        json!({"name": "after_script", "script": ["echo after $CI_JOB_STATUS [$X]", "false"], "timeout": 60, "when": "always", "allow_failure": true}),
    );
    bench.fake.add(1, job);
    let mut good = payload(2, &["true"]);
    good["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["false"], "when": "always"}));
    bench.fake.add(2, good);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.phase, Phase::Failed);
    assert!(
        text(&job).contains("\nafter failed []\n"),
        "a shell of its own: {}",
        text(&job)
    );
    assert_eq!(bench.fake.until_final(2).await.phase, Phase::Success);
    bench.stop().await;
}

#[tokio::test]
async fn variables_files_and_masks() {
    let mut bench = Bench::new().await;
    let mut job = payload(
        1,
        &[
            "cat $CERT; echo; echo value=$PLAIN raw=$RAW",
            "printf 'hun'; sleep 0.2; printf 'ter2\\n'",
            "echo job-token-1",
        ],
    );
    variable(&mut job, "CERT", "content of $PLAIN", &json!({"file": true}));
    variable(&mut job, "PLAIN", "old", &json!({}));
    variable(&mut job, "PLAIN", "new", &json!({}));
    variable(&mut job, "RAW", "$PLAIN", &json!({"raw": true}));
    variable(&mut job, "SECRET", "hunter2", &json!({"masked": true}));
    bench.fake.add(1, job);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    assert!(log.contains("content of new\nvalue=new raw=$PLAIN\n"), "{log}");
    assert!(!log.contains("hunter2") && log.contains("\n[MASKED]\n"), "{log}");
    assert!(!log.contains("job-token-1"), "the job's own token is masked: {log}");
    bench.stop().await;
}

#[tokio::test]
async fn graceful_cancel_runs_after_script_and_reports_job_canceled() {
    let mut bench = Bench::new().await;
    bench.fake.lock().tasuki = true;
    let mut job = payload(1, &["echo started", "sleep 60"]);
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["echo after $CI_JOB_STATUS"], "when": "always"}));
    job["tasuki"] = json!({"heartbeat_interval_ms": 100, "lease_ms": 10_000});
    bench.fake.add(1, job);
    bench.start().await;
    bench
        .fake
        .until("output", |state| text(&state.jobs[&1]).contains("\nstarted\n"))
        .await;
    let began = Instant::now();
    bench.fake.set_phase(1, Phase::Canceling);
    let job = bench.fake.until_final(1).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(text(&job).contains("\nafter canceled\n"), "{}", text(&job));
    // The server lists no reasons: only the three basic ones and the fallback may be sent.
    assert_eq!(job.final_update.unwrap()["failure_reason"], "unknown_failure");
    bench.stop().await;
}

#[tokio::test]
async fn hard_cancel_stops_everything_at_once() {
    let mut bench = Bench::new().await;
    bench.fake.lock().tasuki = true;
    let mut job = payload(1, &["echo started", "sleep 60"]);
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["echo after"], "when": "always"}));
    job["tasuki"] = json!({"heartbeat_interval_ms": 100, "lease_ms": 10_000});
    bench.fake.add(1, job);
    bench.start().await;
    bench
        .fake
        .until("output", |state| text(&state.jobs[&1]).contains("\nstarted\n"))
        .await;
    bench.fake.set_phase(1, Phase::Canceled);
    bench
        .fake
        .until("a last update", |state| {
            state.jobs[&1].updates.iter().any(|update| update["state"] == "failed")
        })
        .await;
    let job = bench.fake.job(1);
    assert!(
        job.final_update.is_none() && !text(&job).contains("\nafter\n"),
        "{}",
        text(&job)
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_silent_server_costs_the_job_its_processes() {
    let mut bench = Bench::new().await;
    bench.fake.lock().tasuki = true;
    let marker = bench.dir.path().join("alive");
    let script = format!("while true; do date +%N > {}; sleep 0.05; done", marker.display());
    let mut job = payload(1, &["echo started", &script]);
    job["tasuki"] = json!({"heartbeat_interval_ms": 100, "lease_ms": 600});
    bench.fake.add(1, job);
    bench.start().await;
    bench
        .fake
        .until("output", |state| text(&state.jobs[&1]).contains("\nstarted\n"))
        .await;
    bench.fake.lock().mute = true;
    let began = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(20), bench.metrics.all_jobs_ended()).await;
    assert!(ended.is_ok(), "the job is given up");
    bench.fake.lock().mute = false;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let last = std::fs::read(&marker).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(std::fs::read(&marker).unwrap(), last, "the script still runs");
    bench.stop().await;
}

#[tokio::test]
async fn a_time_limit_ends_the_job() {
    let mut bench = Bench::new().await;
    let mut job = payload(1, &["sleep 60"]);
    job["runner_info"]["timeout"] = json!(1);
    bench.fake.add(1, job);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(
        job.final_update.as_ref().unwrap()["failure_reason"],
        "job_execution_timeout"
    );
    assert!(
        text(&job).contains("execution took longer than 1s seconds"),
        "{}",
        text(&job)
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_script_limit_leaves_time_for_after_script() {
    let mut bench = Bench::new().await;
    let mut job = payload(1, &["sleep 60"]);
    variable(&mut job, "RUNNER_SCRIPT_TIMEOUT", "300ms", &json!({}));
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["echo after $CI_JOB_STATUS"], "when": "always"}));
    bench.fake.add(1, job);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(
        job.final_update.as_ref().unwrap()["failure_reason"],
        "job_execution_timeout"
    );
    assert!(text(&job).contains("\nafter failed\n"), "{}", text(&job));
    bench.stop().await;
}

#[tokio::test]
async fn artifacts_travel_from_job_to_job() {
    let mut bench = Bench::new().await;
    let mut first = payload(1, &["mkdir out; echo made > out/file; echo '<x/>' > report.xml"]);
    first["artifacts"] = json!([
        {"name": "pack-$CI_JOB_STATUS", "paths": ["out/"], "when": "on_success", "artifact_type": "archive", "artifact_format": "zip", "expire_in": "1 week"},
        {"name": "junit.xml", "paths": ["report.xml"], "when": "always", "artifact_type": "junit", "artifact_format": "gzip"},
        {"name": "never", "paths": ["out/"], "when": "on_failure", "artifact_type": "archive", "artifact_format": "zip"},
    ]);
    bench.fake.add(1, first);
    bench.start().await;
    let first = bench.fake.until_final(1).await;
    assert_eq!(first.phase, Phase::Success, "{}", text(&first));
    assert_eq!(first.artifacts.len(), 2, "{}", text(&first));
    let (query, name, _) = &first.artifacts[0];
    assert!(
        query.contains("artifact_type=archive") && query.contains("artifact_format=zip"),
        "{query}"
    );
    assert_eq!(name, "pack-running.zip");
    let mut second = payload(2, &["cat out/file"]);
    second["dependencies"] = json!([
        {"id": 1, "token": "job-token-2", "name": "test", "artifacts_file": {"filename": "artifacts.zip", "size": 10}},
        {"id": 99, "token": "job-token-2", "name": "empty"},
    ]);
    bench.fake.add(2, second);
    let second = bench.fake.until_final(2).await;
    assert_eq!(second.phase, Phase::Success, "{}", text(&second));
    assert!(text(&second).contains("\nmade\n"), "{}", text(&second));
    bench.stop().await;
}

#[tokio::test]
async fn caches_are_saved_and_restored() {
    let mut bench = Bench::new().await;
    for id in [1, 2] {
        let mut job = payload(id, &["cat dir/file || true; mkdir -p dir; echo kept > dir/file"]);
        job["cache"] =
            json!([{"key": "k-$CI_JOB_STATUS", "paths": ["dir/"], "policy": "pull-push", "when": "on_success"}]);
        bench.fake.add(id, job);
        if id == 1 {
            bench.start().await;
        }
        let job = bench.fake.until_final(id).await;
        assert_eq!(job.phase, Phase::Success, "{}", text(&job));
        assert_eq!(text(&job).contains("\nkept\n"), id == 2, "{}", text(&job));
    }
    bench.stop().await;
}

#[tokio::test]
async fn missing_artifacts_fail_the_job_before_its_script() {
    let mut bench = Bench::new().await;
    let mut job = payload(2, &["echo never"]);
    job["dependencies"] =
        json!([{"id": 1, "token": "t", "name": "gone", "artifacts_file": {"filename": "a.zip", "size": 1}}]);
    bench.fake.add(1, payload(1, &["true"]));
    bench.fake.set_phase(1, Phase::Success);
    bench.fake.add(2, job);
    bench.start().await;
    let job = bench.fake.until_final(2).await;
    assert_eq!(job.phase, Phase::Failed);
    assert!(!text(&job).contains("$ echo never"), "{}", text(&job));
    bench.stop().await;
}

#[tokio::test]
async fn a_job_whose_acknowledgement_is_refused_is_dropped_silently() {
    let mut bench = Bench::new().await;
    bench.fake.fault(Fault::Acknowledge(409));
    bench.fake.add(1, payload(1, &["echo once"]));
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.phase, Phase::Success);
    assert_eq!(text(&job).matches("\nonce\n").count(), 1);
    bench.stop().await;
}

/// A job that is canceled between its two phases is only told about.
#[tokio::test]
async fn a_job_that_is_canceled_before_it_began_runs_nothing() {
    let mut bench = Bench::new().await;
    bench.fake.fault(Fault::CancelAtAcknowledgement);
    let mut job = payload(1, &["echo never"]);
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["echo after"], "when": "always"}));
    job["features"]["failure_reasons"] = json!(["job_canceled"]);
    bench.fake.add(1, job);
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.final_update.as_ref().unwrap()["failure_reason"], "job_canceled");
    assert_eq!(text(&job), "", "nothing was begun");
    bench.stop().await;
}

#[tokio::test]
async fn what_a_job_leaves_running_is_gone_at_its_end() {
    let mut bench = Bench::new().await;
    let pid = bench.dir.path().join("pid");
    let script = format!(
        "setsid sh -c 'echo $$ > {0}; exec sleep 300' </dev/null >/dev/null 2>&1 & while [ ! -s {0} ]; do sleep 0.01; done",
        pid.display()
    );
    bench.fake.add(1, payload(1, &[&script]));
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.phase, Phase::Success, "{}", text(&job));
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(
        !std::path::Path::new("/proc").join(pid.trim()).join("exe").exists(),
        "process {pid} outlives its job"
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_forced_stop_interrupts_jobs() {
    let mut bench = Bench::new().await;
    let mut job = payload(1, &["echo started", "sleep 60"]);
    job["features"]["failure_reasons"] = json!(["runner_interrupted"]);
    job["tasuki"] = json!({"heartbeat_interval_ms": 100, "lease_ms": 10_000});
    bench.fake.add(1, job);
    bench.start().await;
    bench
        .fake
        .until("output", |state| text(&state.jobs[&1]).contains("\nstarted\n"))
        .await;
    bench.shutdown.force();
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.final_update.unwrap()["failure_reason"], "runner_interrupted");
    bench.stop().await;
}

#[tokio::test]
async fn unsupported_wishes_are_refused_with_a_reason() {
    for (key, value, words) in [
        ("run", json!("[]x"), "native steps"),
        ("secrets", json!({"S": {"vault": {"path": "p"}}}), "secrets"),
        (
            "image",
            json!({"name": "a", "executor_opts": {"docker": {"gpu": 1}}}),
            "docker.gpu",
        ),
    ] {
        let mut bench = Bench::new().await;
        let mut job = payload(1, &["echo never"]);
        job[key] = value;
        bench.fake.add(1, job);
        bench.start().await;
        let job = bench.fake.until_final(1).await;
        assert_eq!(job.phase, Phase::Failed);
        assert!(
            text(&job).contains(words) && !text(&job).contains("$ echo never"),
            "{}",
            text(&job)
        );
        bench.stop().await;
    }
}

/// Covers: GM-GLOB-01
#[tokio::test]
async fn concurrency_is_limited_over_all_runners() {
    let mut bench = Bench::new().await;
    let running = "test $(ls -d $CI_BUILDS_DIR/../run.* 2>/dev/null | wc -l) -lt 2 && mktemp -d $CI_BUILDS_DIR/../run.XXXX && sleep 0.3 && rmdir $CI_BUILDS_DIR/../run.*";
    for id in 1..=4 {
        bench.fake.add(id, payload(id, &[running]));
    }
    let (one, mut two) = (bench.runner(), bench.runner());
    two.token = tasuki_model::secret::Secret::new("glrt-other");
    let mut config = Config::single(1, one);
    config.runners.push(two);
    bench.start_with(config, None).await;
    for id in 1..=4 {
        let job = bench.fake.until_final(id).await;
        assert_eq!(job.phase, Phase::Success, "{}", text(&job));
    }
    let tokens: std::collections::BTreeSet<_> = bench
        .fake
        .lock()
        .requests
        .iter()
        .map(|request| request["token"].to_string())
        .collect();
    assert_eq!(tokens.len(), 2, "both runners ask");
    bench.stop().await;
}

#[tokio::test]
async fn concurrency_is_limited_and_slots_are_numbered() {
    let mut bench = Bench::new().await;
    bench.fake.lock().tasuki = true;
    for id in 1..=4 {
        bench.fake.add(
            id,
            payload(
                id,
                &["echo slot=$CI_CONCURRENT_ID/$CI_CONCURRENT_PROJECT_ID; sleep 0.3"],
            ),
        );
    }
    let runner = bench.runner();
    bench.start_with(Config::single(2, runner), None).await;
    let mut slots = Vec::new();
    for id in 1..=4 {
        let log = text(&bench.fake.until_final(id).await);
        assert!(bench.metrics.running() <= 2);
        slots.push(log.split("slot=").nth(2).unwrap().lines().next().unwrap().to_owned());
    }
    slots.sort();
    assert_eq!(slots, ["0/0", "0/0", "1/1", "1/1"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_number_of_jobs_then_the_end() {
    let mut bench = Bench::new().await;
    for id in 1..=3 {
        bench.fake.add(id, payload(id, &["true"]));
    }
    let runner = bench.runner();
    bench.start_with(Config::single(1, runner), Some(2)).await;
    bench.fake.until_final(2).await;
    bench.metrics.all_jobs_ended().await;
    assert_eq!(bench.fake.job(3).phase, Phase::Pending);
    bench.stop().await;
}

#[tokio::test]
async fn a_refused_runner_rests() {
    let mut bench = Bench::new().await;
    bench.fake.lock().revoked.push("glrt-t1_runnertoken".to_owned());
    bench.start().await;
    bench
        .fake
        .until("three requests", |state| state.requests.len() == 3)
        .await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(bench.fake.lock().requests.len(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn the_state_of_the_queue_is_returned() {
    let mut bench = Bench::new().await;
    bench.start().await;
    bench
        .fake
        .until("two requests", |state| state.requests.len() >= 2)
        .await;
    let requests = bench.fake.lock().requests.clone();
    assert!(requests[0].get("last_update").is_none(), "{}", requests[0]);
    assert_eq!(requests[1]["last_update"], "0");
    assert_eq!(requests[0]["system_id"], "s_0123456789ab");
    let features = &requests[0]["info"]["features"];
    for feature in [
        "cancel_gracefully",
        "two_phase_job_commit",
        "tasuki",
        "return_exit_code",
        "multi_build_steps",
    ] {
        assert_eq!(features[feature], true, "{feature}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    let mut bench = Bench::new().await;
    bench
        .fake
        .fault(Fault::Request(429, vec![("retry-after", "1".to_owned())]));
    bench.fake.add(1, payload(1, &["true"]));
    let began = Instant::now();
    bench.start().await;
    assert_eq!(bench.fake.until_final(1).await.phase, Phase::Success);
    assert!(began.elapsed() >= Duration::from_secs(1));
    bench.stop().await;
}
