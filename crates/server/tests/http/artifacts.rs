//! What jobs leave for others: archives, reports, caches.

use std::io::Write as _;

use reqwest::Method;
use serde_json::json;
use tasuki_rt::Clock;

use crate::support::{Answer, Job, Server};

const TWO: &str = "
build:
  stage: build
  script: make
  artifacts: {paths: [out], expire_in: 1 hour, reports: {dotenv: build.env, junit: report.xml}}
test:
  stage: test
  script: make test
";

async fn fetch(server: &Server, token: &str, id: i64, range: Option<&str>) -> Answer {
    let path = format!("/api/v4/jobs/{id}/artifacts?direct_download=true");
    let mut request = server.raw(Method::GET, &path).header("JOB-TOKEN", token);
    if let Some(range) = range {
        request = request.header("Range", range);
    }
    Answer::of(request.send().await.unwrap()).await
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// Covers: CM-DATA-03
#[tokio::test]
async fn a_later_job_gets_the_archive_and_the_variables() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, TWO).await;
    let build = server.take(&runner).await;
    let wanted: Vec<_> = build.payload["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["artifact_type"].clone())
        .collect();
    assert_eq!(
        wanted,
        [json!("archive"), json!("dotenv"), json!("junit")].map(|w| w).to_vec()
    );
    let archive = "expire_in=1%20hour&artifact_format=zip&artifact_type=archive";
    server
        .upload(&build, archive, "../../../etc/out.zip", b"PK not really")
        .await
        .expect(201);
    let dotenv = "artifact_format=gzip&artifact_type=dotenv";
    server
        .upload(&build, dotenv, ".env.gz", &gzip("VERSION=1.2\nEMPTY=\n"))
        .await
        .expect(201);
    server
        .upload(
            &build,
            "artifact_format=gzip&artifact_type=junit",
            "junit.xml.gz",
            &gzip("<x/>"),
        )
        .await
        .expect(201);
    server.state(&build, json!({"state": "success"})).await.expect(200);

    let test = server.take(&runner).await;
    let dependency = &test.payload["dependencies"][0];
    assert_eq!(dependency["id"], build.id);
    assert_eq!(dependency["artifacts_file"], json!({"filename": "out.zip", "size": 13}));
    assert_eq!(test.variable("VERSION"), Some("1.2"));
    let token = dependency["token"].as_str().unwrap();
    let whole = fetch(&server, token, build.id, None).await.expect(200);
    assert_eq!(whole.text, "PK not really");
    assert!(
        whole
            .header("content-disposition")
            .contains("attachment; filename=\"out.zip\"")
    );
    let part = fetch(&server, token, build.id, Some("bytes=3-5")).await.expect(206);
    assert_eq!(
        (part.text.as_str(), part.header("content-range")),
        ("not", "bytes 3-5/13")
    );
    fetch(&server, token, build.id, Some("bytes=13-")).await.expect(416);

    let shown = server.get(&format!("/tasks/{}", build.id)).await;
    let files = shown["artifacts"].as_array().unwrap().clone();
    let archive = files.iter().find(|file| file["kind"] == "archive").unwrap();
    assert!(archive["expires_at"].is_string());
    let path = format!("/artifacts/{}/download", archive["id"]);
    assert_eq!(
        server.api(Method::GET, &path, None).await.expect(200).text,
        "PK not really"
    );
}

/// What expired is told, not left out: the job would fail in strange ways without it.
#[tokio::test]
async fn a_job_whose_dependency_expired_fails_by_that_name() {
    let clock = Clock::manual(1_800_000_000_000);
    let server = Server::at(&clock).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, TWO).await;
    let build = server.take(&runner).await;
    let archive = "expire_in=1%20hour&artifact_format=zip&artifact_type=archive";
    server.upload(&build, archive, "out.zip", b"zip").await.expect(201);
    server.state(&build, json!({"state": "success"})).await.expect(200);
    clock.advance(std::time::Duration::from_secs(2 * 3600));
    server.ask(&runner).await.expect(204);
    assert_eq!(
        server.job(pipeline, "test").await["failure_reason"],
        "missing_dependency_failure"
    );
}

#[tokio::test]
async fn archives_are_for_running_jobs_of_the_same_project_only() {
    let server = Server::start().await;
    let (ours, theirs) = (server.project("group/ours").await, server.project("group/theirs").await);
    let runner = server.new_runner(json!({})).await;
    server.pipeline(ours, TWO).await;
    let build = server.take(&runner).await;
    server.upload(&build, "", "out.zip", b"ours").await.expect(201);
    server.pipeline(theirs, TWO).await;
    let foreign = server.take(&runner).await;
    fetch(&server, &foreign.token, build.id, None).await.expect(404);
    fetch(&server, &build.token, build.id, None).await.expect(200);
    fetch(&server, "glcbt-wrong", build.id, None).await.expect(403);
    fetch(&server, &runner, build.id, None).await.expect(403);
    fetch(&server, "", build.id, None).await.expect(403);
    server.state(&build, json!({"state": "success"})).await.expect(200);
    fetch(&server, &build.token, build.id, None).await.expect(403);
}

#[tokio::test]
async fn uploads_that_cannot_be_are_refused() {
    let server = Server::with(|config| config.limits.artifact_bytes = 1000).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, TWO).await;
    let job = server.take(&runner).await;
    let check = async |query: &str, content: &[u8], status: u16, part: &str| {
        let answer = server.upload(&job, query, "x", content).await.expect(status);
        assert!(answer.text.contains(part), "{answer:?}");
    };
    check("", &[0; 1001], 413, "413").await;
    check("artifact_format=rar", b"x", 400, "artifact_format").await;
    check("artifact_type=../x", b"x", 400, "artifact_type").await;
    check("expire_in=soon", b"x", 400, "expire_in").await;
    let dotenv = "artifact_type=dotenv&artifact_format=gzip";
    check(dotenv, &gzip("no equals sign\n"), 400, "line 1").await;
    check(dotenv, &gzip(&"A=1\n".repeat(2000)), 400, "5120 bytes").await;
    check(dotenv, b"A=1", 400, "not gzipped").await;
    check("artifact_type=dotenv&artifact_format=zip", b"A=1", 400, "gzipped").await;
    let path = format!("/api/v4/jobs/{}/artifacts", job.id);
    let bare = server
        .raw(Method::POST, &path)
        .header("JOB-TOKEN", &job.token)
        .body("x");
    assert!(Answer::of(bare.send().await.unwrap()).await.status.is_client_error());
    let other = server
        .raw(Method::POST, &path)
        .header("JOB-TOKEN", &job.token)
        .header("Content-Type", "multipart/form-data; boundary=b")
        .body("--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n");
    Answer::of(other.send().await.unwrap()).await.expect(400);
    let authorize = format!("{path}/authorize?filesize=1001");
    let asked = server.raw(Method::POST, &authorize).header("JOB-TOKEN", &job.token);
    Answer::of(asked.send().await.unwrap()).await.expect(413);
    let shown = server.get(&format!("/tasks/{}", job.id)).await;
    assert!(shown.get("artifacts").is_none(), "nothing of it was kept: {shown}");
}

#[tokio::test]
async fn an_upload_before_the_job_was_taken_up_is_refused() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, TWO).await;
    let payload = server.ask(&runner).await.expect(201).json();
    let (id, token) = (
        payload["id"].as_i64().unwrap(),
        payload["token"].as_str().unwrap().to_owned(),
    );
    let job = Job { id, token, payload };
    let refused = server.upload(&job, "", "x.zip", b"x").await.expect(403);
    assert_eq!(refused.header("job-status"), "pending");
}

async fn cache(server: &Server, method: Method, token: &str, key: &str, body: &str, since: Option<&str>) -> Answer {
    let mut request = server
        .raw(method, &format!("/api/v4/tasuki/caches/{key}"))
        .header("JOB-TOKEN", token)
        .body(body.to_owned());
    if let Some(since) = since {
        request = request.header("If-Modified-Since", since);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// Covers: CM-DATA-01
#[tokio::test]
async fn caches_come_back_and_stay_apart() {
    let server = Server::start().await;
    let (project, other) = (server.project("group/name").await, server.project("group/other").await);
    let runner = server.new_runner(json!({})).await;
    server.pipeline_of(project, "a:\n  script: a\n", "main").await;
    let protected = server.take(&runner).await;
    server.pipeline_of(project, "a:\n  script: a\n", "topic").await;
    let topic = server.take(&runner).await;
    server.pipeline_of(other, "a:\n  script: a\n", "main").await;
    let foreign = server.take(&runner).await;

    let put = async |job: &Job, key: &str, body: &str, status: u16| {
        cache(&server, Method::PUT, &job.token, key, body, None)
            .await
            .expect(status);
    };
    let get = async |job: &Job, key: &str, body: Option<&str>| {
        let answer = cache(&server, Method::GET, &job.token, key, "", None).await;
        match body {
            Some(body) => assert_eq!(answer.expect(200).text, body),
            None => _ = answer.expect(404),
        }
    };
    put(&protected, "deps-protected", "trusted", 201).await;
    // A job of any branch may call its key as it likes: what protected branches read stays theirs.
    put(&topic, "deps-protected", "poison", 201).await;
    get(&protected, "deps-protected", Some("trusted")).await;
    get(&topic, "deps-protected", Some("poison")).await;
    put(&topic, "deps-non_protected", "topic", 201).await;
    get(&topic, "deps-non_protected", Some("topic")).await;
    get(&foreign, "deps-protected", None).await;
    get(&foreign, "deps-non_protected", None).await;
    put(&topic, "nested%2Fkey", "slash", 201).await;
    get(&topic, "nested%2Fkey", Some("slash")).await;
    cache(&server, Method::PUT, "glcbt-wrong", "x", "x", None)
        .await
        .expect(403);
    cache(&server, Method::GET, "glcbt-wrong", "x", "", None)
        .await
        .expect(403);
    cache(&server, Method::PUT, &topic.token, &"k".repeat(600), "x", None)
        .await
        .expect(400);

    let fresh = cache(&server, Method::GET, &topic.token, "deps-non_protected", "", None).await;
    let modified = fresh.header("last-modified").to_owned();
    cache(
        &server,
        Method::GET,
        &topic.token,
        "deps-non_protected",
        "",
        Some(&modified),
    )
    .await
    .expect(304);
    server.state(&topic, json!({"state": "success"})).await.expect(200);
    cache(&server, Method::GET, &topic.token, "deps-non_protected", "", None)
        .await
        .expect(403);
}

/// Caches of typed steps: found by the beginning of their key, and never replaced.
#[tokio::test]
async fn caches_of_steps_are_found_by_prefix_and_not_replaced() {
    let server = Server::start().await;
    let (project, other) = (server.project("group/name").await, server.project("group/other").await);
    let runner = server.new_runner(json!({})).await;
    server.pipeline_of(project, "a:\n  script: a\n", "main").await;
    let main = server.take(&runner).await;
    server.pipeline_of(project, "a:\n  script: a\n", "topic").await;
    let topic = server.take(&runner).await;
    server.pipeline_of(other, "a:\n  script: a\n", "main").await;
    let foreign = server.take(&runner).await;
    let put = async |job: &Job, key: &str, body: &str, status: u16| {
        let path = format!("/api/v4/tasuki/caches/{key}");
        let request = server.raw(Method::PUT, &path).header("JOB-TOKEN", &job.token);
        let request = request.header("If-None-Match", "*").body(body.to_owned());
        Answer::of(request.send().await.unwrap()).await.expect(status);
    };
    let get = async |job: &Job, key: &str, found: Option<(&str, &str)>| {
        let answer = cache(&server, Method::GET, &job.token, key, "", None).await;
        match found {
            Some((name, body)) => {
                let answer = answer.expect(200);
                assert_eq!(
                    (answer.header("x-tasuki-cache-key"), answer.text.as_str()),
                    (name, body)
                );
            }
            None => _ = answer.expect(404),
        }
    };
    put(&main, "deps-1?space=project", "one", 201).await;
    put(&main, "deps-2?space=project", "two", 201).await;
    put(&main, "deps-1?space=project", "again", 412).await;
    put(&main, "deps-1?space=home", "home", 201).await;
    get(&topic, "deps-1?space=project", Some(("deps-1", "one"))).await;
    get(&topic, "deps-1?space=home", Some(("deps-1", "home"))).await;
    get(&topic, "deps-?space=project&match=prefix", Some(("deps-2", "two"))).await;
    get(&topic, "deps-?space=project", None).await;
    get(&topic, "other-?space=project&match=prefix", None).await;
    get(&topic, "deps-1", None).await;
    get(&foreign, "deps-?space=project&match=prefix", None).await;
    put(&main, "deps-1?space=elsewhere", "x", 400).await;
}
