//! Pieces of logs (GitLab's runner protocol, trace upload).

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Job, Server};

async fn running(server: &Server) -> Job {
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, "test:\n  script: make\n").await;
    server.take(&runner).await
}

/// Covers: GK-LIFE-17
#[tokio::test]
async fn pieces_are_appended_where_the_log_ends() {
    let server = Server::start().await;
    let job = running(&server).await;
    let check = async |start: usize, text: &str, status: u16, stored: usize| {
        let answer = server.trace(&job, start, text).await.expect(status);
        assert_eq!(answer.header("range"), format!("0-{stored}"), "{answer:?}");
        let told = if status == 202 { "running" } else { "" };
        assert_eq!(answer.header("job-status"), told);
    };
    check(0, "one\n", 202, 4).await;
    check(0, "one\n", 202, 4).await; // the same piece again: its answer was lost
    check(4, "two\n", 202, 8).await;
    check(2, "e\ntwo\n", 202, 8).await; // ends where the log ends
    check(2, "e\ntwo\nthree\n", 416, 8).await; // overlaps what is stored
    check(9, "gap\n", 416, 8).await;
    check(1_000_000_000_000, "far\n", 416, 8).await;
    let log = server
        .api(Method::GET, &format!("/tasks/{}/log", job.id), None)
        .await
        .expect(200);
    assert_eq!(log.text, "one\ntwo\n");
    assert_eq!((log.header("x-log-size"), log.header("x-log-final")), ("8", "false"));
}

/// Runners send seldom what nobody reads, and soon what somebody follows.
#[tokio::test]
async fn the_pause_between_pieces_depends_on_readers() {
    let server = Server::with(|config| config.limits.log_interval_s = 60).await;
    let job = running(&server).await;
    let pause = async |start: usize| {
        let told = server.trace(&job, start, "1234").await.expect(202);
        told.header("x-gitlab-trace-update-interval").to_owned()
    };
    assert_eq!(pause(0).await, "60");
    let follow = server
        .raw(Method::GET, &format!("/api/v1/tasks/{}/log/events", job.id))
        .bearer_auth(server.running.admin_token().expose());
    let mut stream = follow.send().await.unwrap();
    stream.chunk().await.unwrap();
    assert_eq!(pause(4).await, "1");
}

#[tokio::test]
async fn a_piece_must_say_where_it_belongs() {
    let server = Server::start().await;
    let job = running(&server).await;
    let check = async |range: Option<&str>| {
        let path = format!("/api/v4/jobs/{}/trace", job.id);
        let mut request = server
            .raw(Method::PATCH, &path)
            .header("JOB-TOKEN", &job.token)
            .body("x");
        if let Some(range) = range {
            request = request.header("Content-Range", range);
        }
        let answer = Answer::of(request.send().await.unwrap()).await.expect(400);
        assert!(answer.json()["message"].is_string());
    };
    for range in [
        None,
        Some(""),
        Some("x-1"),
        Some("-1-3"),
        Some("bytes 0-1/2"),
        Some("99999999999999999999-1"),
    ] {
        check(range).await;
    }
}

#[tokio::test]
async fn a_piece_that_is_too_large_is_refused() {
    let server = Server::with(|config| config.limits.log_patch_bytes = 1000).await;
    let job = running(&server).await;
    server.trace(&job, 0, &"x".repeat(1001)).await.expect(413);
    server.trace(&job, 0, &"x".repeat(1000)).await.expect(202);
}

#[tokio::test]
async fn a_log_that_is_too_long_says_so_and_fails_the_job() {
    let server = Server::with(|config| config.limits.log_bytes = 1000).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, "test:\n  script: make\n").await;
    let job = server.take(&runner).await;
    server.trace(&job, 0, &"x\n".repeat(450)).await.expect(202);
    let refused = server.trace(&job, 900, &"y\n".repeat(450)).await.expect(403);
    assert_eq!(refused.header("job-status"), "failed");
    let shown = server.job(pipeline, "test").await;
    assert_eq!(shown["failure_reason"], "trace_size_exceeded");
    let log = server
        .api(Method::GET, &format!("/tasks/{}/log", job.id), None)
        .await
        .expect(200);
    assert!(
        log.text.contains("longer than the 1000 bytes"),
        "{}",
        &log.text[log.text.len().saturating_sub(200)..]
    );
}

#[tokio::test]
async fn a_log_is_read_from_any_byte_on_and_followed() {
    let server = Server::start().await;
    let job = running(&server).await;
    server.trace(&job, 0, "grüße\n").await.expect(202);
    let part = server
        .api(Method::GET, &format!("/tasks/{}/log?offset=2", job.id), None)
        .await
        .expect(200);
    assert_eq!(part.text.as_bytes(), &"grüße\n".as_bytes()[2..]);
    server
        .api(Method::GET, &format!("/tasks/{}/log?offset=9", job.id), None)
        .await
        .expect(416);

    let follow = async |query: &str, last: Option<&str>| {
        let path = format!("/api/v1/tasks/{}/log/events{query}", job.id);
        let mut request = server
            .raw(Method::GET, &path)
            .bearer_auth(server.running.admin_token().expose());
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        request.send().await.unwrap()
    };
    let mut stream = follow("", None).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        first.contains("event: log") && first.contains("id: 8") && first.contains("grüße\\n"),
        "{first}"
    );
    server.trace(&job, 8, "more\n").await.expect(202);
    let second = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        second.contains("\"text\":\"more\\n\"") && second.contains("id: 13"),
        "{second}"
    );
    server.state(&job, json!({"state": "success"})).await.expect(200);
    let rest = Answer::of(stream).await;
    assert!(rest.text.contains("event: end"), "{rest:?}");
    // Somebody who was cut off goes on behind what came last.
    let again = Answer::of(follow("?offset=0", Some("8")).await).await;
    assert!(!again.text.contains("grüße") && again.text.contains("more") && again.text.contains("event: end"));
}

#[tokio::test]
async fn a_log_with_debug_tracing_needs_more_than_reading() {
    let server = Server::start().await;
    let job = running(&server).await;
    let request = server
        .raw(
            Method::PATCH,
            &format!("/api/v4/jobs/{}/trace?debug_trace=true", job.id),
        )
        .header("JOB-TOKEN", &job.token)
        .header("Content-Range", "0-6")
        .body("SECRET\n");
    Answer::of(request.send().await.unwrap()).await.expect(202);
    let reader = server
        .post("/tokens", json!({"name": "r", "scope": "read"}))
        .await
        .expect(201)
        .json();
    for path in ["log", "log/events"] {
        let path = format!("/api/v1/tasks/{}/{path}", job.id);
        let request = server
            .raw(Method::GET, &path)
            .bearer_auth(reader["secret"].as_str().unwrap());
        Answer::of(request.send().await.unwrap()).await.expect(403);
    }
    server
        .api(Method::GET, &format!("/tasks/{}/log", job.id), None)
        .await
        .expect(200);
}
