//! The web UI as a browser without scripts sees it.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Server};

/// Logs in as a browser does; the cookie to send.
pub(crate) async fn log_in(server: &Server) -> String {
    let form = [("token", server.running.admin_token().expose()), ("next", "/runners")];
    let request = server
        .raw(Method::POST, "/login")
        .header("Sec-Fetch-Site", "same-origin")
        .form(&form);
    let answer = Answer::of(request.send().await.unwrap()).await.expect(303);
    assert_eq!(answer.header("location"), "/runners");
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn get(server: &Server, cookie: &str, path: &str) -> Answer {
    Answer::of(
        server
            .raw(Method::GET, path)
            .header("Cookie", cookie)
            .send()
            .await
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn pages_are_behind_the_log_in() {
    let server = Server::start().await;
    for path in ["/", "/pipelines", "/pipelines/1", "/jobs/1", "/runners", "/projects/1"] {
        let answer = get(&server, "", path).await.expect(303);
        assert!(answer.header("location").starts_with("/login?next=%2F"), "{answer:?}");
    }
    let post = server
        .raw(Method::POST, "/pipelines/1/cancel")
        .header("Sec-Fetch-Site", "same-origin");
    Answer::of(post.send().await.unwrap()).await.expect(401);

    let wrong = |site: &'static str, token: &'static str| {
        let request = server.raw(Method::POST, "/login").header("Sec-Fetch-Site", site);
        request.form(&[("token", token)]).send()
    };
    let answer = Answer::of(wrong("same-origin", "guess").await.unwrap())
        .await
        .expect(200);
    assert!(answer.text.contains("This is not the token") && answer.header("set-cookie").is_empty());
    let foreign = Answer::of(wrong("cross-site", "guess").await.unwrap())
        .await
        .expect(200);
    assert!(foreign.text.contains("from this page"));

    let cookie = log_in(&server).await;
    get(&server, &cookie, "/").await.expect(200);
    let out = server
        .raw(Method::POST, "/logout")
        .header("Cookie", &cookie)
        .header("Sec-Fetch-Site", "same-origin");
    assert!(
        Answer::of(out.send().await.unwrap())
            .await
            .expect(303)
            .header("set-cookie")
            .contains("Max-Age=0")
    );
    get(&server, &cookie, "/").await.expect(303);
}

#[tokio::test]
async fn pages_obey_their_own_policy() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, "build:\n  script: make\n").await;
    let job = server.take(&runner).await;
    server.trace(&job, 0, "hello\n").await.expect(202);
    let cookie = log_in(&server).await;
    let graph = server.job(pipeline, "build").await["id"].clone();
    for path in [
        "/".to_owned(),
        "/login".to_owned(),
        "/pipelines".to_owned(),
        "/runners".to_owned(),
        format!("/projects/{project}"),
        format!("/pipelines/{pipeline}"),
        format!("/jobs/{graph}"),
        "/jobs/424242".to_owned(),
    ] {
        let page = get(&server, &cookie, &path).await;
        assert!(page.header("content-type").starts_with("text/html"), "{path}: {page:?}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            (page.header("x-content-type-options"), page.header("cache-control")),
            ("nosniff", "no-store")
        );
        for forbidden in [
            "<script>",
            " style=",
            " onclick=",
            "javascript:",
            "http://cdn",
            "https://cdn",
        ] {
            assert!(!page.text.contains(forbidden), "{path} has {forbidden}");
        }
        assert!(page.text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{path}");
    }
}

#[tokio::test]
async fn the_first_page_is_light() {
    let server = Server::start().await;
    let cookie = log_in(&server).await;
    let page = get(&server, &cookie, "/").await.expect(200);
    let mut total = page.text.len();
    let addresses: std::collections::BTreeSet<&str> = page
        .text
        .split(['"', '#'])
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(addresses.len() >= 4, "{addresses:?}");
    for address in addresses {
        let asset = get(&server, "", address).await.expect(200);
        assert!(asset.header("cache-control").contains("immutable"), "{asset:?}");
        total += asset.text.len();
    }
    assert!(total <= 100_000, "{total} bytes before compression");
}

/// Names, titles and logs come from anybody who can push.
#[tokio::test]
async fn nothing_that_people_write_becomes_markup() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server
        .new_runner(json!({"name": "<img src=x onerror=alert(1)>", "tags": ["<b>"]}))
        .await;
    let yaml = "'<script>alert(1)</script>':\n  script: make\n'a\"onmouseover=alert(1)':\n  script: make\n";
    let pipeline = server.pipeline(project, yaml).await;
    let job = server.take(&runner).await;
    server
        .trace(
            &job,
            0,
            "\u{1b}[31m<script>alert(2)</script>\u{1b}[0m https://x/\"><script>\nsection_start:1:<script>\r\n",
        )
        .await
        .expect(202);
    let upload = "artifact_type=archive&artifact_format=zip";
    server
        .upload(&job, upload, "<script>alert(3)</script>.zip", b"x")
        .await
        .expect(201);
    let cookie = log_in(&server).await;
    for path in [
        "/runners".to_owned(),
        format!("/pipelines/{pipeline}"),
        format!("/tasks/{}", job.id),
        "/login?next=\"><script>".to_owned(),
        "/jobs/<script>".to_owned(),
    ] {
        let page = get(&server, &cookie, &path).await;
        let without_ours = page.text.replace("<script src=\"/assets/app.js?", "");
        assert!(!without_ours.contains("<script"), "{path}: {without_ours}");
        assert!(!without_ours.contains("<img"), "{path}");
        assert!(!without_ours.contains("\"onmouseover="), "{path}");
    }
}

#[tokio::test]
async fn a_log_is_whole_without_scripts_and_goes_on_with_them() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, "build:\n  script: make\n").await;
    let job = server.take(&runner).await;
    let first = "section_start:10:get_sources\r\u{1b}[0KGetting sources\nfrom git\n";
    server.trace(&job, 0, first).await.expect(202);
    let cookie = log_in(&server).await;
    let page = get(&server, &cookie, &format!("/tasks/{}", job.id)).await.expect(200);
    assert!(
        page.text
            .contains("<div class=\"l\" id=\"L2\"><a href=\"#L2\">2</a><span>from git</span></div>")
    );
    assert!(
        page.text.contains("data-depth=\"1\"") && page.text.contains("/stream?after=2\""),
        "{}",
        page.text
    );

    let path = format!("/tasks/{}/stream?after=2", job.id);
    let mut stream = server
        .raw(Method::GET, &path)
        .header("Cookie", &cookie)
        .send()
        .await
        .unwrap();
    server
        .trace(&job, first.len(), "section_end:14:get_sources\r\u{1b}[0Kdone <b>\n")
        .await
        .expect(202);
    let piece = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(piece.contains("event: pieces") && piece.contains("id: 4"), "{piece}");
    assert!(
        piece.contains("\"op\":\"close\",\"seconds\":4") && piece.contains("done &lt;b&gt;"),
        "{piece}"
    );
    assert!(!piece.contains("from git"));
    server.state(&job, json!({"state": "success"})).await.expect(200);
    assert!(Answer::of(stream).await.text.contains("event: end"));
    let page = get(&server, &cookie, &format!("/tasks/{}", job.id)).await.expect(200);
    assert!(!page.text.contains("data-stream") && page.text.contains("passed"));
}

#[tokio::test]
async fn buttons_work_without_scripts() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let pipeline = server
        .pipeline(project, "a:\n  script: a\nb:\n  script: b\n  when: manual\n")
        .await;
    let cookie = log_in(&server).await;
    let press = async |path: String, status: u16| {
        let request = server
            .raw(Method::POST, &path)
            .header("Cookie", &cookie)
            .header("Sec-Fetch-Site", "same-origin");
        Answer::of(request.send().await.unwrap()).await.expect(status)
    };
    let manual = server.job(pipeline, "b").await["id"].clone();
    press(format!("/jobs/{manual}/play"), 303).await;
    assert_eq!(server.job_status(pipeline, "b").await, "pending");
    press(format!("/jobs/{manual}/play"), 409).await;
    press(format!("/pipelines/{pipeline}/cancel"), 303).await;
    assert_eq!(server.job_status(pipeline, "a").await, "canceled");
    press(format!("/jobs/{manual}/retry"), 303).await;
    assert_eq!(server.job_status(pipeline, "b").await, "pending");
    let elsewhere = server
        .raw(Method::POST, &format!("/pipelines/{pipeline}/cancel"))
        .header("Cookie", &cookie);
    Answer::of(elsewhere.header("Sec-Fetch-Site", "cross-site").send().await.unwrap())
        .await
        .expect(403);
}

#[tokio::test]
async fn a_project_is_found_by_its_path() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let cookie = log_in(&server).await;
    let answer = get(&server, &cookie, "/group/name").await.expect(303);
    assert_eq!(answer.header("location"), format!("/projects/{project}"));
    get(&server, "", "/group/name").await.expect(404);
    get(&server, &cookie, "/group/other").await.expect(404);
}
