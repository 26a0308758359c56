//! Releases, as `release-cli` makes them in a job and as people see them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server};
use crate::triggers::{git, next, project};
use crate::ui::log_in;

const CONFIG: &str = "build:\n  script: make\n  release: {tag_name: v1, description: The first}\n";

/// What `release-cli create` sends.
fn body(tag: &str) -> Value {
    json!({
        "id": "1", "name": "One <b>", "description": "The first", "tag_name": tag, "ref": "main",
        "assets": {"links": [
            {"name": "bin", "url": "https://files.example.com/a", "direct_asset_path": "/a", "link_type": "package"},
            {"name": "mirror", "url": "ftp://files.example.com/a"},
        ]},
        "milestones": ["m1"], "released_at": "2024-01-31T10:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_releases_with_its_own_token() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", CONFIG)]).await;
    let sha = git(dir.path(), &["rev-parse", "HEAD"]);
    let runner = server.new_runner(json!({})).await;
    let job = next(&server, &runner).await;
    let address = format!("/api/v4/projects/{id}/releases");
    let ask = |method: Method, path: String, body: Option<Value>| {
        let request = server.raw(method, &path).header("JOB-TOKEN", &job.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        async { Answer::of(request.send().await.unwrap()).await }
    };

    let refused = ask(Method::POST, address.clone(), Some(body("v1"))).await.expect(422);
    assert!(
        refused.json()["message"].as_str().unwrap().contains("push it first"),
        "{}",
        refused.json()
    );
    // The job pushed it meanwhile.
    git(dir.path(), &["tag", "v1"]);
    let made = ask(Method::POST, address.clone(), Some(body("v1")))
        .await
        .expect(201)
        .json();
    assert_eq!((&made["tag_name"], &made["commit"]["id"]), (&json!("v1"), &json!(sha)));
    assert_eq!(
        (&made["assets"]["count"], &made["upcoming_release"]),
        (&json!(2), &json!(false))
    );
    ask(Method::POST, address.clone(), Some(body("v1"))).await.expect(409);
    ask(Method::POST, address.clone(), Some(json!({}))).await.expect(400);
    let shown = ask(Method::GET, format!("{address}/v1"), None).await.expect(200).json();
    assert_eq!(shown["milestones"][0]["title"], "m1");
    ask(Method::GET, format!("{address}/v2"), None).await.expect(404);
    let changed = ask(
        Method::PUT,
        format!("{address}/v1"),
        Some(json!({"description": "Mended"})),
    )
    .await;
    let changed = changed.expect(200).json();
    assert_eq!(
        (&changed["description"], &changed["name"]),
        (&json!("Mended"), &json!("One <b>"))
    );
    assert_eq!(
        ask(Method::GET, address.clone(), None).await.expect(200).json(),
        json!([changed])
    );

    // Of another project, without a token, and after the job it opens nothing.
    let other = server.project("acme/other").await;
    ask(Method::GET, format!("/api/v4/projects/{}/releases", other.0), None)
        .await
        .expect(404);
    Answer::of(server.raw(Method::GET, &address).send().await.unwrap())
        .await
        .expect(401);
    server.state(&job, json!({"state": "success"})).await.expect(200);
    ask(Method::GET, address.clone(), None).await.expect(404);
    people_see_it(&server, id, &sha).await;
}

async fn people_see_it(server: &Server, project: i64, sha: &str) {
    let page = server.get("/projects/acme%2Fapp/releases").await;
    let release = &page["items"][0];
    assert_eq!((&release["tag"], &release["sha"]), (&json!("v1"), &json!(sha)));
    assert_eq!(release["released_at"], "2024-01-31T10:00:00.000Z");
    let cookie = log_in(server).await;
    let html = server.raw(Method::GET, &format!("/projects/{project}/releases"));
    let html = Answer::of(html.header("cookie", cookie).send().await.unwrap())
        .await
        .expect(200)
        .text;
    for part in [
        "One &#60;b&#62;",
        "href=\"https://files.example.com/a\"",
        "Mended",
        "2024-01-31",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("href=\"ftp:"), "only http(s) addresses become links");
    let address = format!("/releases/{}", release["id"]);
    server.api(Method::DELETE, &address, None).await.expect(204);
    server.api(Method::GET, &address, None).await.expect(404);
}
