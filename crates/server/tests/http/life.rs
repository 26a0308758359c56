//! The way of a job through the hands of a runner: request, acknowledge, log, result, cancel.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, request, text};

const ONE: &str = "test:\n  script: [make, 'make test']\n  after_script: [tidy]\n";

/// Covers: GK-LIFE-15, GK-LIFE-17
#[tokio::test]
async fn a_job_goes_to_a_runner_and_comes_back_green() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;

    let answer = server.ask(&runner).await.expect(201);
    assert_eq!(
        answer.header("x-gitlab-last-update"),
        "",
        "it would tell the runner that nothing else is new"
    );
    assert_eq!(answer.header("content-type"), "application/json");
    let payload = answer.json();
    assert_eq!(payload["steps"][0]["script"], json!(["make", "make test"]));
    assert_eq!(
        payload["steps"][1],
        json!({
            "name": "after_script", "script": ["tidy"], "timeout": 3600, "when": "always", "allow_failure": true
        })
    );
    assert_eq!(payload["git_info"]["sha"], crate::support::SHA);
    assert!(
        payload.get("tasuki").is_none() && payload.get("run").is_none(),
        "a stock runner cannot read them"
    );
    assert_eq!(server.job_status(pipeline, "test").await, "pending", "not taken up yet");

    let job = crate::support::Job {
        id: payload["id"].as_i64().unwrap(),
        token: text(&payload["token"]),
        payload,
    };
    let first = server.state(&job, json!({"state": "running"})).await.expect(200);
    assert_eq!(first.header("job-status"), "running");
    assert_eq!(server.job_status(pipeline, "test").await, "running");
    server.trace(&job, 0, "hello\n").await.expect(202);

    // The runner says that its log has more bytes than came: it must send them first.
    let last = json!({"state": "success", "output": {"checksum": "crc32:363a3020", "bytesize": 6}});
    let early = json!({"state": "success", "output": {"checksum": "crc32:00000000", "bytesize": 12}});
    let again = server.state(&job, early).await.expect(202);
    assert_eq!(again.header("x-gitlab-trace-update-interval"), "1");
    server.trace(&job, 6, "world\n").await.expect(202);
    server.state(&job, last.clone()).await.expect(200);
    assert_eq!(server.job_status(pipeline, "test").await, "success");
    // Doubled messages change nothing; the first word stands.
    server.state(&job, last).await.expect(200);
    let late = server
        .state(&job, json!({"state": "failed", "failure_reason": "script_failure"}))
        .await;
    assert!([200, 403].contains(&late.status.as_u16()), "{late:?}");
    assert_eq!(server.job_status(pipeline, "test").await, "success");
}

#[tokio::test]
async fn a_failure_keeps_its_reason_and_exit_code() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let check = async |body: Value, status: &str, reason: &str, code: Value| {
        let pipeline = server.pipeline(project, ONE).await;
        let job = server.take(&runner).await;
        server.state(&job, body).await.expect(200);
        let shown = server.job(pipeline, "test").await;
        assert_eq!(
            (text(&shown["status"]).as_str(), text(&shown["failure_reason"]).as_str()),
            (status, reason)
        );
        assert_eq!(shown.get("exit_code").cloned().unwrap_or(Value::Null), code);
    };
    let failed = |reason: &str| json!({"state": "failed", "failure_reason": reason});
    check(
        json!({"state": "failed", "failure_reason": "script_failure", "exit_code": 3}),
        "failed",
        "script_failure",
        json!(3),
    )
    .await;
    check(json!({"state": "failed"}), "failed", "script_failure", Value::Null).await;
    check(
        failed("runner_system_failure"),
        "error",
        "runner_system_failure",
        Value::Null,
    )
    .await;
    check(failed("something_new"), "error", "unknown_failure", Value::Null).await;
}

#[tokio::test]
async fn only_known_states_are_taken() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    server.state(&job, json!({"state": "paused"})).await.expect(400);
    server.state(&job, json!({"state": "pending"})).await.expect(200);
    server.state(&job, json!({"state": "running"})).await.expect(200);
}

#[tokio::test]
async fn a_held_request_gets_the_job_at_once() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    // A stock runner that does not know the state of the queue is told it, not held.
    let started = Instant::now();
    let nothing = server.ask(&runner).await.expect(204);
    assert!(started.elapsed() < Duration::from_secs(5));
    let known = nothing.header("x-gitlab-last-update").to_owned();
    assert!(!known.is_empty());

    // A job that is there already is handed out at once, whatever the runner knew of the queue.
    let pipeline = server.pipeline(project, ONE).await;
    let mut body = request(&runner);
    body["last_update"] = json!(known);
    server
        .runner(Method::POST, "/jobs/request", body.clone())
        .await
        .expect(201);
    server
        .post(&format!("/pipelines/{pipeline}/cancel"), json!({}))
        .await
        .expect(200);

    // What it knows is old by now, or from another server: it waits all the same.
    let (held, ()) = tokio::join!(server.runner(Method::POST, "/jobs/request", body), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.pipeline(project, ONE).await;
    });
    held.expect(201);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn one_of_ours_is_held_and_sent_home_when_the_server_stops() {
    let server = Server::start().await;
    let runner = server.new_runner(json!({})).await;
    let mut body = request(&runner);
    body["info"]["features"]["tasuki"] = json!(true);
    let held = server.raw(Method::POST, "/api/v4/jobs/request").json(&body).send();
    let (answer, (ended, took)) = tokio::join!(held, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let started = Instant::now();
        (server.running.shutdown().await, started.elapsed())
    });
    assert!(ended, "something outlived the shutdown");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(answer.unwrap().status(), 204);
}

#[tokio::test]
async fn one_of_ours_gets_the_extension() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, ONE).await;
    let mut body = request(&runner);
    body["info"]["features"]["tasuki"] = json!(true);
    let payload = server
        .runner(Method::POST, "/jobs/request", body)
        .await
        .expect(201)
        .json();
    assert_eq!(payload["tasuki"]["heartbeat_interval_ms"], 3000);
    assert_eq!(payload["tasuki"]["lease_ms"], 10_000);
    assert!(text(&payload["tasuki"]["cache_url"]).starts_with("http://"));
}

#[tokio::test]
async fn a_paused_runner_gets_nothing() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({"paused": true})).await;
    server.pipeline(project, ONE).await;
    assert!(
        !server
            .ask(&runner)
            .await
            .expect(204)
            .header("x-gitlab-last-update")
            .is_empty()
    );
    let id = server.get("/runners").await["items"][0]["id"].clone();
    server
        .api(Method::PATCH, &format!("/runners/{id}"), Some(json!({"paused": false})))
        .await
        .expect(200);
    server.ask(&runner).await.expect(201);
}

#[tokio::test]
async fn a_cancelled_job_is_told_to_stop_and_may_clean_up() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    server
        .post(&format!("/pipelines/{pipeline}/cancel"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        server.trace(&job, 0, "bye\n").await.expect(202).header("job-status"),
        "canceling"
    );
    assert_eq!(
        server
            .state(&job, json!({"state": "running"}))
            .await
            .expect(200)
            .header("job-status"),
        "canceling"
    );
    server
        .upload(&job, "artifact_format=zip&artifact_type=archive", "a.zip", b"kept")
        .await
        .expect(201);
    let last = json!({"state": "failed", "failure_reason": "job_canceled"});
    server.state(&job, last).await.expect(200);
    assert_eq!(server.job_status(pipeline, "test").await, "canceled");
    let late = server.trace(&job, 4, "more\n").await.expect(403);
    assert_eq!(late.header("job-status"), "canceled");
}

#[tokio::test]
async fn a_runner_that_cannot_wait_is_stopped_hard() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;
    let mut body = request(&runner);
    body["info"]["features"] = json!({});
    let payload = server
        .runner(Method::POST, "/jobs/request", body)
        .await
        .expect(201)
        .json();
    let job = crate::support::Job {
        id: payload["id"].as_i64().unwrap(),
        token: text(&payload["token"]),
        payload,
    };
    assert_eq!(
        server.job_status(pipeline, "test").await,
        "running",
        "without two phases it runs at once"
    );
    server
        .post(&format!("/pipelines/{pipeline}/cancel"), json!({}))
        .await
        .expect(200);
    let told = server.trace(&job, 0, "x\n").await.expect(403);
    assert_eq!(told.header("job-status"), "canceled");
}

#[tokio::test]
async fn only_the_token_of_the_present_attempt_opens_a_job() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, "a:\n  script: a\nb:\n  script: b\n").await;
    let (a, b) = (server.take(&runner).await, server.take(&runner).await);
    let check = async |token: &str| {
        let forged = crate::support::Job {
            token: token.to_owned(),
            ..a.clone()
        };
        for answer in [
            server.state(&forged, json!({"state": "success"})).await,
            server.state(&forged, json!({"state": "running"})).await,
            server.trace(&forged, 0, "forged\n").await,
            server.upload(&forged, "", "x.zip", b"forged").await,
        ] {
            assert_eq!(answer.status.as_u16(), 403, "{answer:?}");
            assert_eq!(
                answer.header("job-status"),
                "",
                "it learns nothing of the job: {answer:?}"
            );
        }
    };
    check(&b.token).await;
    check("glcbt-wrong").await;
    check(&runner).await;
    check(server.running.admin_token().expose()).await;
    check(&a.token.to_uppercase()).await;
    assert_eq!(server.trace(&a, 0, "mine\n").await.expect(202).header("range"), "0-5");
    let log = server
        .api(Method::GET, &format!("/tasks/{}/log", a.id), None)
        .await
        .expect(200);
    assert_eq!(log.text, "mine\n");
}

#[tokio::test]
async fn a_retried_job_has_another_token() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;
    let first = server.take(&runner).await;
    server.state(&first, json!({"state": "failed"})).await.expect(200);
    server
        .post(&format!("/pipelines/{pipeline}/retry"), json!({}))
        .await
        .expect(200);
    let second = server.take(&runner).await;
    assert!(second.id != first.id && second.token != first.token);
    let stale = crate::support::Job {
        id: second.id,
        ..first.clone()
    };
    server.state(&stale, json!({"state": "success"})).await.expect(403);
    server.trace(&first, 0, "late\n").await.expect(403);
    assert_eq!(server.job_status(pipeline, "test").await, "running");
}

#[tokio::test]
async fn requests_are_limited_for_each_token() {
    let server = Server::with(|config| {
        config.limits.job_requests_per_s = 2;
        config.limits.job_updates_per_s = 3;
    })
    .await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    let mut last = server.ask(&runner).await;
    for _ in 0..3 {
        last = server.ask(&runner).await;
    }
    assert!(last.expect(429).header("retry-after").parse::<u64>().unwrap() >= 1);
    let mut last = server.state(&job, json!({"state": "running"})).await;
    for _ in 0..4 {
        last = server.state(&job, json!({"state": "running"})).await;
    }
    last.expect(429);
}

/// A job is not given to a runner that would do something else than what is written.
#[tokio::test]
async fn a_job_that_its_runner_cannot_do_is_not_handed_out() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let check = async |yaml: &str, lacks: &[&str], served: bool| {
        let pipeline = server.pipeline(project, yaml).await;
        let mut body = request(&runner);
        for name in lacks {
            body["info"]["features"].as_object_mut().unwrap().remove(*name).unwrap();
        }
        let answer = server.runner(Method::POST, "/jobs/request", body).await;
        if served {
            let payload = answer.expect(201).json();
            let job = crate::support::Job {
                id: payload["id"].as_i64().unwrap(),
                token: text(&payload["token"]),
                payload,
            };
            server.state(&job, json!({"state": "running"})).await.expect(200);
            server.state(&job, json!({"state": "success"})).await.expect(200);
            return;
        }
        answer.expect(204);
        let job = server.job(pipeline, "a").await;
        assert_eq!(
            (text(&job["status"]).as_str(), text(&job["failure_reason"]).as_str()),
            ("error", "runner_unsupported"),
            "{yaml}"
        );
        let tasks = server.get(&format!("/jobs/{}/tasks", job["id"])).await;
        let task = &tasks["items"].as_array().or(tasks.as_array()).unwrap()[0]["id"];
        let log = server
            .api(Method::GET, &format!("/tasks/{task}/log"), None)
            .await
            .expect(200);
        assert!(log.text.contains(lacks[0]), "the log says what is missing: {log:?}");
    };
    let plain = "a: {script: a, artifacts: {paths: [x]}, cache: {paths: [y]}}";
    check(
        plain,
        &["artifacts_exclude", "return_exit_code", "fallback_cache_keys"],
        true,
    )
    .await;
    for (yaml, feature) in [
        (
            "a: {script: a, artifacts: {paths: [x], exclude: [x/y]}}",
            "artifacts_exclude",
        ),
        (
            "a: {script: a, artifacts: {reports: {junit: x.xml}}}",
            "upload_multiple_artifacts",
        ),
        (
            "a: {script: a, artifacts: {reports: {sast: x.json}}}",
            "upload_raw_artifacts",
        ),
        (
            "a: {script: a, cache: {paths: [x], fallback_keys: [k]}}",
            "fallback_cache_keys",
        ),
        ("a: {script: a, allow_failure: {exit_codes: 3}}", "return_exit_code"),
        ("a: {script: a, retry: {max: 1, exit_codes: 3}}", "return_exit_code"),
    ] {
        check(yaml, &[feature], false).await;
        check(yaml, &[], true).await;
    }
}

/// Windows counts exit codes without sign; the header alone may carry the token.
#[tokio::test]
async fn a_result_is_read_leniently() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    let body = json!({"state": "failed", "failure_reason": "script_failure", "exit_code": 0xC000_013A_u32});
    let request = server
        .raw(Method::PUT, &format!("/api/v4/jobs/{}", job.id))
        .header("JOB-TOKEN", &job.token)
        .json(&body);
    let answer = crate::support::Answer::of(request.send().await.unwrap())
        .await
        .expect(200);
    assert_eq!(answer.header("job-status"), "failed");
    assert_eq!(server.job(pipeline, "test").await["exit_code"], -1_073_741_510);
}

/// While bytes of the log are missing the result is noted but not yet accepted; the pause doubles, and the patience ends.
#[tokio::test]
async fn a_result_waits_for_its_log_but_not_for_ever() {
    let clock = tasuki_rt::Clock::manual(1_700_000_000_000);
    let server = Server::at(&clock).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    server.trace(&job, 0, "half").await.expect(202);
    let last = json!({"state": "success", "output": {"checksum": "crc32:00000000", "bytesize": 9}});
    for (after, pause) in [(0, "1"), (5, "2"), (10, "4"), (100, "32"), (180, "64")] {
        clock.advance(Duration::from_secs(after));
        let told = server.state(&job, last.clone()).await.expect(202);
        assert_eq!(told.header("x-gitlab-trace-update-interval"), pause);
        assert_eq!(told.header("job-status"), "running");
        // Another word does not change the first one.
        server
            .state(&job, json!({"state": "failed", "output": {"bytesize": 9}}))
            .await
            .expect(202);
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(
        server.state(&job, last.clone()).await.expect(200).header("job-status"),
        "success"
    );
    assert_eq!(
        server.state(&job, last).await.expect(200).header("job-status"),
        "success"
    );
    assert_eq!(server.job_status(pipeline, "test").await, "success");
}

/// A runner whose places are all taken asks for nothing for hours.
#[tokio::test]
async fn a_busy_runner_is_online() {
    let clock = tasuki_rt::Clock::manual(1_700_000_000_000);
    let server = Server::at(&clock).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, ONE).await;
    let job = server.take(&runner).await;
    let shown = async || server.get("/runners").await["items"][0].clone();
    clock.advance(Duration::from_mins(10));
    assert_eq!(shown().await["online"], false, "nothing was heard of it");
    server.trace(&job, 0, "on\n").await.expect(202);
    server.app().scheduler().flush_contacts().await.unwrap();
    let shown = shown().await;
    assert_eq!(shown["online"], true, "{shown}");
    assert_eq!(
        shown["managers"][0]["contacted_at"], "2023-11-14T22:23:20.000Z",
        "{shown}"
    );
}
