//! What starts pipelines over HTTP: trigger tokens, jobs' tokens, schedules; and pipelines that jobs start.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tasuki_rt::Clock;

use crate::support::{Answer, Job, Server, text};
use crate::ui::log_in;

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test plays the user")]
    let mut command = std::process::Command::new("git");
    let out = command
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// A project over a repository with these files on `main`.
pub(crate) async fn project(server: &Server, dir: &Path, files: &[(&str, &str)]) -> i64 {
    git(dir, &["init", "-q", "-b", "main"]);
    for (name, content) in files {
        std::fs::write(dir.join(name), content).unwrap();
    }
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", "First"]);
    let made = server
        .post("/projects", json!({"location": dir, "path": "acme/app"}))
        .await;
    made.expect(201).json()["id"].as_i64().unwrap()
}

/// Gets the next job, waiting for the pipeline that it is in.
pub(crate) async fn next(server: &Server, runner: &str) -> Job {
    until_pending(server).await;
    server.take(runner).await
}

/// The same for a runner of tasuki.
pub(crate) async fn next_of_ours(server: &Server, runner: &str) -> Job {
    until_pending(server).await;
    server.take_as_ours(runner).await
}

async fn until_pending(server: &Server) {
    until(server, "/pipelines", |page| {
        let pending = |p: &Value| p["counts"]["pending"].as_u64().is_some_and(|n| n > 0);
        page["items"].as_array().unwrap().iter().any(pending)
    })
    .await;
}

async fn until(server: &Server, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Clock::instant();
    loop {
        let found = server.get(path).await;
        if wanted(&found) {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{path}: {found}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const BY_TRIGGER: &str = "job:\n  script: x\n  rules:\n    - if: $CI_PIPELINE_TRIGGERED == \"true\" && $MODE == \"quick\"\n    \
                          - if: $CI_PIPELINE_SOURCE == \"pipeline\" && $CI_UPSTREAM_JOB_ID\n    \
                          - if: $CI_PIPELINE_SOURCE == \"schedule\" && $CI_PIPELINE_SCHEDULE_DESCRIPTION == \"by night\"\n\
                          first: {script: x, rules: [{if: $CI_PIPELINE_SOURCE == \"push\"}]}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_token_starts_pipelines_of_its_project_alone() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", BY_TRIGGER)]).await;
    let other = server.project("other/project").await;
    let made = server.post(
        "/tokens",
        json!({"name": "nightly", "scope": "trigger", "project": "acme/app"}),
    );
    let made = made.await.expect(201).json();
    let token = text(&made["secret"]);
    assert!(token.starts_with("glptt-"), "{made}");
    assert_eq!(made["project"], "acme/app");
    server
        .post("/tokens", json!({"name": "x", "scope": "trigger"}))
        .await
        .expect(422);
    let post = |path: String| server.raw(Method::POST, &path);
    let address = format!("/api/v4/projects/{id}/trigger/pipeline");

    // As documentation has it: a form with parts.
    let boundary = "bOuNdArY";
    let part = |name: &str, value: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = part("token", &token) + &part("ref", "main") + &part("variables[MODE]", "quick");
    let multipart = post(address.clone())
        .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
        .body(format!("{parts}--{boundary}--\r\n"));
    let form = post(address.clone()).form(&[("token", token.as_str()), ("ref", "main"), ("variables[MODE]", "quick")]);
    let body = json!({"token": token, "ref": "main", "variables": {"MODE": "quick"}});
    let as_json = post(address.clone()).json(&body);
    let by_path = post(format!(
        "/api/v4/projects/acme%2Fapp/trigger/pipeline?token={token}&ref=main&variables[MODE]=quick"
    ));
    for request in [multipart, form, as_json, by_path] {
        let answer = Answer::of(request.send().await.unwrap()).await.expect(201).json();
        assert_eq!(
            (&answer["source"], &answer["ref"]),
            (&json!("trigger"), &json!("main")),
            "{answer}"
        );
        assert_eq!(answer["project_id"], id);
    }

    let refused = async |request: reqwest::RequestBuilder, status: u16, says: &str| {
        let answer = Answer::of(request.send().await.unwrap()).await.expect(status);
        assert!(answer.text.contains(says), "{answer:?}");
        assert!(answer.json()["message"] != Value::Null, "{answer:?}");
    };
    refused(post(address.clone()).form(&[("ref", "main")]), 400, "token is missing").await;
    refused(
        post(address.clone()).form(&[("token", token.as_str())]),
        400,
        "ref is missing",
    )
    .await;
    refused(
        post(address.clone()).form(&[("token", "glptt-guess"), ("ref", "main")]),
        404,
        "404 Not Found",
    )
    .await;
    refused(
        post(format!("/api/v4/projects/{other}/trigger/pipeline")).form(&[("token", token.as_str()), ("ref", "main")]),
        404,
        "404 Not Found",
    )
    .await;
    let nope = post(address.clone()).form(&[("token", token.as_str()), ("ref", "nope")]);
    refused(nope, 400, "Reference not found").await;
    let nothing = post(address.clone()).form(&[("token", token.as_str()), ("ref", "main")]);
    refused(nothing, 400, "base").await;
    refused(
        post(address.clone()).form(&[("token", token.as_str()), ("ref", "main"), ("variables[A-B]", "x")]),
        400,
        "key-valued",
    )
    .await;
    // It opens nothing else.
    let rest = server.raw(Method::GET, "/api/v1/projects").bearer_auth(&token);
    Answer::of(rest.send().await.unwrap()).await.expect(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_starts_pipelines_with_its_own_token() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", BY_TRIGGER)]).await;
    let runner = server.new_runner(json!({})).await;
    let job = next(&server, &runner).await;
    let address = format!("/api/v4/projects/{id}/trigger/pipeline");
    let ask = || {
        let form = [("token", job.token.as_str()), ("ref", "main")];
        server.raw(Method::POST, &address).form(&form).send()
    };
    let answer = Answer::of(ask().await.unwrap()).await.expect(201).json();
    assert_eq!(answer["source"], "pipeline");
    server.state(&job, json!({"state": "success"})).await.expect(200);
    Answer::of(ask().await.unwrap()).await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_made_run_changed_and_removed() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    project(&server, dir.path(), &[(".gitlab-ci.yml", BY_TRIGGER)]).await;
    let new = json!({
        "description": "by night", "cron": "0 4 * * *", "time_zone": "Europe/Berlin",
        "variables": [{"key": "SECRET", "value": "s3cret-value"}],
    });
    let made = server
        .post("/projects/acme%2Fapp/schedules", new)
        .await
        .expect(201)
        .json();
    assert_eq!((&made["ref"], &made["active"]), (&json!("main"), &json!(true)));
    assert!(
        made["next_run_at"].is_string() && !made.to_string().contains("s3cret"),
        "{made}"
    );
    let id = made["id"].as_i64().unwrap();
    let started = server
        .post(&format!("/schedules/{id}/run"), json!({}))
        .await
        .expect(201)
        .json();
    assert_eq!(started["source"], "schedule");
    let patch = json!({"active": false, "cron": "30 5 * * 1"});
    let changed = server
        .api(Method::PATCH, &format!("/schedules/{id}"), Some(patch))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["cron"], &changed["next_run_at"]),
        (&json!("30 5 * * 1"), &Value::Null)
    );
    assert_eq!(changed["time_zone"], "Europe/Berlin");
    let all = server.get("/projects/acme%2Fapp/schedules").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    for wrong in [
        json!({"cron": "0 4 * *"}),
        json!({"cron": "0 99 * * *"}),
        json!({"cron": "0 4 * * *", "time_zone": "Mars/Base"}),
        json!({"cron": "0 4 * * *", "variables": [{"key": "A-B", "value": ""}]}),
    ] {
        server.post("/projects/acme%2Fapp/schedules", wrong).await.expect(422);
    }
    server
        .api(Method::DELETE, &format!("/schedules/{id}"), None)
        .await
        .expect(204);
    server
        .api(Method::DELETE, &format!("/schedules/{id}"), None)
        .await
        .expect(404);
    server
        .post(&format!("/schedules/{id}/run"), json!({}))
        .await
        .expect(404);
}

/// A job makes the configuration of the child pipeline; the child's job fetches what a job of the parent left; the
/// pages of both lead to one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_child_pipeline_from_end_to_end() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = "stages: [make, start]\n\
                  generate: {stage: make, script: x, artifacts: {paths: [child.yml]}}\n\
                  child:\n  stage: start\n  variables: {PARENT: $CI_PIPELINE_ID}\n  trigger:\n    \
                  include: [{artifact: child.yml, job: generate}]\n    strategy: depend\n";
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", config)]).await;
    let runner = server.new_runner(json!({})).await;
    let job = next(&server, &runner).await;
    let child = "use:\n  script: x\n  needs: [{pipeline: $PARENT, job: generate}]\n\
                 lost: {script: x, needs: [{pipeline: $PARENT, job: nowhere}]}\n";
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file("child.yml", zip::write::SimpleFileOptions::default())
        .unwrap();
    std::io::Write::write_all(&mut archive, child.as_bytes()).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let query = "artifact_type=archive&artifact_format=zip";
    server.upload(&job, query, "artifacts.zip", &archive).await.expect(201);
    server.state(&job, json!({"state": "success"})).await.expect(200);

    let list = format!("/projects/{id}/pipelines");
    let all = until(&server, &list, |page| page["items"].as_array().unwrap().len() == 2).await;
    let (child, parent) = (&all["items"][0], &all["items"][1]);
    assert_eq!(child["source"], "parent_pipeline");
    let (child, parent) = (child["id"].as_i64().unwrap(), parent["id"].as_i64().unwrap());
    let path = format!("/pipelines/{parent}");
    let detail = until(&server, &path, |p| p["downstream"][0]["pipeline_id"] == child).await;
    assert_eq!(detail["downstream"][0]["job"], "child");
    assert_eq!(
        server.get(&format!("/pipelines/{child}")).await["upstream"]["pipeline_id"],
        parent
    );

    let first = next(&server, &runner).await;
    assert_eq!(first.payload["job_info"]["name"], "use");
    let dependencies = first.payload["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), 1, "{dependencies:?}");
    let address = format!("/api/v4/jobs/{}/artifacts", dependencies[0]["id"]);
    let token = text(&dependencies[0]["token"]);
    let download = server
        .raw(Method::GET, &address)
        .header("JOB-TOKEN", token)
        .send()
        .await
        .unwrap();
    assert_eq!(download.status().as_u16(), 200);
    assert_eq!(download.bytes().await.unwrap(), archive);
    server.state(&first, json!({"state": "success"})).await.expect(200);
    // The other needs what nobody left: it ends before a runner gets it.
    server.ask(&runner).await.expect(204);
    let lost = until(&server, &format!("/pipelines/{child}"), |p| p["status"] == "failed").await;
    let lost = lost["workflows"][0]["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["name"] == "lost")
        .cloned();
    assert_eq!(lost.unwrap()["failure_reason"], "missing_dependency_failure");
    until(&server, &format!("/pipelines/{parent}"), |p| p["status"] == "failed").await;

    let cookie = log_in(&server).await;
    for (page, link) in [(parent, child), (child, parent)] {
        let request = server
            .raw(Method::GET, &format!("/pipelines/{page}"))
            .header("Cookie", &cookie);
        let shown = Answer::of(request.send().await.unwrap()).await.expect(200);
        assert!(
            shown.text.contains(&format!("href=\"/pipelines/{link}\"")),
            "{}",
            shown.text
        );
    }
}
