//! What a stock gitlab-runner is told of a job, as a picture.

use serde_json::{Value, json};

use crate::support::Server;

const RICH: &str = r#"
variables: {ROOT: root, SHARED: root}
default:
  image: {name: "rust:1", entrypoint: [""], pull_policy: if-not-present}
cache:
  - key: deps
    paths: [target]
    fallback_keys: [old]
  - key: shared
    unprotect: true
    paths: [tools]
    policy: pull
build:
  stage: build
  script: make
  artifacts: {name: out, paths: [out], exclude: [out/tmp], expire_in: 1 week, reports: {junit: junit.xml}}
test:
  stage: test
  needs: [build]
  services: [{name: "postgres:16", alias: "db,sql", variables: {POSTGRES_DB: t}}]
  variables: {SHARED: "$ROOT/job"}
  hooks: {pre_get_sources_script: [echo before]}
  timeout: 10 minutes
  script: [make test, echo "$SHARED"]
  after_script: [tidy]
"#;

/// Ids, tokens and times differ from run to run.
fn fixed(payload: &Value, server: &Server, token: &str) -> String {
    let mut payload = payload.clone();
    payload["job_info"]["time_in_queue_seconds"] = json!(0.5);
    for variable in payload["variables"].as_array_mut().unwrap() {
        if variable["key"].as_str().unwrap().contains("_AT") || variable["key"] == "CI_SERVER_PORT" {
            variable["value"] = json!("…");
        }
    }
    let text = serde_json::to_string_pretty(&payload).unwrap();
    text.replace(token, "TOKEN")
        .replace(&server.running.address().to_string(), "HOST:PORT")
}

#[tokio::test]
async fn a_stock_runner_is_told_all_of_a_job() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server
        .new_runner(json!({"tags": ["linux"], "maximum_timeout_s": 900}))
        .await;
    server.pipeline(project, RICH).await;
    let build = server.take(&runner).await;
    server
        .upload(&build, "artifact_type=archive&artifact_format=zip", "out.zip", b"zip")
        .await
        .expect(201);
    server.state(&build, json!({"state": "success"})).await.expect(200);
    let test = server.take(&runner).await;
    insta::assert_snapshot!("build", fixed(&build.payload, &server, &build.token));
    insta::assert_snapshot!("test", fixed(&test.payload, &server, &test.token));
}

/// Protected refs have caches of their own; the history is fetched as far as asked for.
#[tokio::test]
async fn trust_and_depth_follow_the_ref_and_the_variables() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let check = async |yaml: &str, branch: &str, keys: &[&str], depth: i64, refspecs: usize| {
        server.pipeline_of(project, yaml, branch).await;
        let job = server.take(&runner).await;
        let found: Vec<&str> = job.payload["cache"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["key"].as_str().unwrap())
            .collect();
        assert_eq!(found, keys);
        assert_eq!(job.payload["git_info"]["depth"], depth);
        assert_eq!(job.payload["git_info"]["refspecs"].as_array().unwrap().len(), refspecs);
        let url = job.payload["git_info"]["repo_url"].as_str().unwrap();
        assert!(
            url.starts_with(&format!("http://gitlab-ci-token:{}@127.0.0.1:", job.token)),
            "{url}"
        );
        assert!(url.ends_with("/group/name.git"));
        server.state(&job, json!({"state": "success"})).await.expect(200);
    };
    let cached = "a: {script: a, cache: {key: k, paths: [x]}}";
    check(cached, "main", &["k-protected"], 20, 2).await;
    check(cached, "topic", &["k-non_protected"], 20, 2).await;
    check("a: {script: a, variables: {GIT_DEPTH: '0'}}", "topic", &[], 0, 3).await;
    check("a: {script: a, variables: {GIT_DEPTH: '5'}}", "topic", &[], 5, 2).await;
}

/// `$A` and `$B` refer to one another: no runner could make sense of it.
#[tokio::test]
async fn a_job_whose_payload_cannot_be_made_fails_and_the_next_is_handed_out() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let put = async |key: &str, value: &str| {
        let path = format!("/projects/{project}/variables/{key}");
        server
            .api(reqwest::Method::PUT, &path, Some(json!({"key": key, "value": value})))
            .await
            .expect(200);
    };
    let broken = server.pipeline(project, "a:\n  script: a\n").await;
    let other = server.project("group/other").await;
    put("A", "$B").await;
    put("B", "$A").await;
    let fine = server.pipeline(other, "b:\n  script: b\n").await;
    let job = server.ask(&runner).await.expect(201).json();
    assert_eq!(job["job_info"]["name"], "b");
    assert_eq!(job["job_info"]["pipeline_id"], fine.0);
    assert_eq!(
        server.job(broken, "a").await["failure_reason"],
        "runner_configuration_error"
    );
}
