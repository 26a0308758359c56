//! CircleCI's dynamic configuration, from the job that gives the second one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Job, Server};
use crate::triggers::{git, next_of_ours as next};

const SETUP: &str = "
version: 2.1
setup: true
jobs: {choose: {machine: true, steps: [{run: ./choose}]}}
workflows: {setup: {jobs: [choose]}}
parameters: {asked: {type: string, default: ''}}
";

const FOLLOWING: &str = "
version: 2.1
parameters: {asked: {type: string, default: ''}, deep: {type: boolean, default: false}}
jobs: {test: {machine: true, steps: [{run: 'echo << pipeline.trigger_source >>'}]}}
workflows: {all: {when: << pipeline.parameters.deep >>, jobs: [test]}}
";

async fn world(server: &Server, dir: &std::path::Path, inputs: Value) -> (String, Job) {
    git(dir, &["init", "-q", "-b", "main"]);
    std::fs::create_dir(dir.join(".circleci")).unwrap();
    std::fs::write(dir.join(".circleci/config.yml"), SETUP).unwrap();
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-qm", "First"]);
    let made = server
        .post("/projects", json!({"location": dir, "path": "acme/app"}))
        .await;
    let id = made.expect(201).json()["id"].as_i64().unwrap();
    let started = json!({"ref": "main", "inputs": inputs});
    let started = server
        .api(Method::POST, &format!("/projects/{id}/pipelines"), Some(started))
        .await;
    let runner = server.new_runner(json!({})).await;
    let wanted = started.expect(201).json()["id"].as_i64().unwrap();
    let wanted = format!("{wanted:012x}");
    // The first look at the repository may have started one of its own: what is asked for comes behind it.
    loop {
        let job = next(server, &runner).await;
        if job.variable("CIRCLE_WORKFLOW_ID").unwrap().ends_with(&wanted) {
            return (runner, job);
        }
        server.state(&job, json!({"state": "success"})).await.expect(200);
    }
}

async fn follow(server: &Server, key: &str, configuration: &str, parameters: Value) -> Answer {
    let body = json!({"continuation-key": key, "configuration": configuration, "parameters": parameters});
    let request = server.raw(Method::POST, "/api/v2/pipeline/continue").json(&body);
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setup_job_gives_the_configuration_that_follows() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (runner, job) = world(&server, dir.path(), json!({})).await;
    let key = job.variable("CIRCLE_CONTINUATION_KEY").unwrap().to_owned();
    let masked = job.payload["variables"].as_array().unwrap().iter();
    let masked = masked
        .filter(|v| v["key"] == "CIRCLE_CONTINUATION_KEY")
        .all(|v| v["masked"] == true);
    assert!(masked, "the key is shown in no log");

    follow(&server, "tsk-none", FOLLOWING, json!({})).await.expect(401);
    follow(&server, &key, "jobs: [", json!({})).await.expect(400);
    let again = follow(&server, &key, SETUP, json!({})).await.expect(400);
    assert!(again.text.contains("cannot be one itself"), "{}", again.text);
    let unknown = follow(&server, &key, FOLLOWING, json!({"wide": true}))
        .await
        .expect(400);
    assert!(unknown.text.contains("wide"), "{}", unknown.text);
    // Nothing to do for these parameters, which ends it without a pipeline.
    follow(&server, &key, FOLLOWING, json!({"deep": false}))
        .await
        .expect(200);
    follow(
        &server,
        &key,
        "{version: 2, jobs: {}, workflows: {version: 2}}",
        json!({}),
    )
    .await
    .expect(200);

    follow(&server, &key, FOLLOWING, json!({"deep": true}))
        .await
        .expect(200);
    let once = follow(&server, &key, FOLLOWING, json!({"deep": true}))
        .await
        .expect(400);
    assert!(once.text.contains("continued already"), "{}", once.text);
    server.state(&job, json!({"state": "success"})).await.expect(200);
    follow(&server, &key, FOLLOWING, json!({"deep": true}))
        .await
        .expect(401);

    // Each page names the other.
    let list = server.get("/pipelines").await;
    let ids = list["items"].as_array().unwrap().iter().map(|one| one["id"].as_i64());
    let made = ids.max().unwrap().unwrap();
    let second = server.get(&format!("/pipelines/{made}")).await;
    assert_eq!(second.get("continuation"), None);
    let first = server.get(&format!("/pipelines/{}", second["setup"])).await;
    assert_eq!(first["continuation"], made);
    assert!(
        job.variable("CIRCLE_WORKFLOW_ID")
            .unwrap()
            .ends_with(&format!("{:012x}", first["id"].as_i64().unwrap()))
    );

    let following = next(&server, &runner).await;
    assert_eq!(following.variable("CIRCLE_JOB"), Some("test"));
    assert_eq!(following.variable("CIRCLE_BRANCH"), Some("main"));
    assert_eq!(following.variable("CIRCLE_CONTINUATION_KEY"), None);
    assert_eq!(following.variable("CIRCLE_SHA1"), job.variable("CIRCLE_SHA1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_given_once() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (_, job) = world(&server, dir.path(), json!({"asked": "x"})).await;
    let key = job.variable("CIRCLE_CONTINUATION_KEY").unwrap().to_owned();
    let clash = follow(&server, &key, FOLLOWING, json!({"asked": "y", "deep": true}))
        .await
        .expect(400);
    assert_eq!(clash.json()["message"], "Conflicting pipeline parameters.");
    // Those that the pipeline was started with must be declared in both.
    let narrow = "{version: 2.1, jobs: {build: {machine: true, steps: [checkout]}}}";
    let missing = follow(&server, &key, narrow, json!({})).await.expect(400);
    assert!(missing.text.contains("asked"), "{}", missing.text);
}

/// A key of the caller's that is spelt as one of the server's own keeps nothing from being continued, and is never taken
/// for what follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_a_caller_blocks_a_continuation() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (_, job) = world(&server, dir.path(), json!({})).await;
    let setup = job.variable("CIRCLE_WORKFLOW_ID").unwrap().rsplit('-').next().unwrap();
    let setup = i64::from_str_radix(setup, 16).unwrap();
    let project = server.get(&format!("/pipelines/{setup}")).await["project_id"].clone();
    for attack in [
        format!("continue:{setup}"),
        format!("request:{project}:continue:{setup}"),
    ] {
        let request = server
            .by_admin(Method::POST, &format!("/projects/{project}/pipelines"))
            .header("idempotency-key", &attack)
            .json(&json!({"ref": "main"}));
        Answer::of(request.send().await.unwrap()).await.expect(201);
        let page = server.get(&format!("/pipelines/{setup}")).await;
        assert_eq!(page.get("continuation"), None, "{attack}");
    }
    let key = job.variable("CIRCLE_CONTINUATION_KEY").unwrap();
    follow(&server, key, FOLLOWING, json!({"deep": true})).await.expect(200);
    let page = server.get(&format!("/pipelines/{setup}")).await;
    let following = server.get(&format!("/pipelines/{}", page["continuation"])).await;
    assert_eq!(following["setup"], setup);
}
