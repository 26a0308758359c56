//! Pages that jobs publish, as people read them.

use std::io::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Job, Server};
use crate::triggers::{git, next, project};
use crate::ui::log_in;

const CONFIG: &str = "
pages: {script: make, artifacts: {expire_in: 1 hour}}
preview: {script: make, pages: {publish: out, path_prefix: Next}, environment: {name: review, url: '$CI_PAGES_URL/about'}}
";

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in files {
        archive.start_file(*name, options).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

async fn publish(server: &Server, job: &Job, files: &[(&str, &str)]) {
    let query = "expire_in=1%20hour&artifact_format=zip&artifact_type=archive";
    server.upload(job, query, "a.zip", &zip(files)).await.expect(201);
    server.state(job, json!({"state": "success"})).await.expect(200);
}

async fn read(server: &Server, cookie: &str, path: &str) -> Answer {
    let request = server.raw(Method::GET, path).header("Cookie", cookie);
    Answer::of(request.send().await.unwrap()).await
}

async fn places(server: &Server, id: i64) -> Vec<Value> {
    let listed = server.api(Method::GET, &format!("/projects/{id}/pages"), None).await;
    listed.expect(200).json()["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pages_job_left_is_shown() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", CONFIG)]).await;
    let runner = server.new_runner(json!({})).await;
    let cookie = log_in(&server).await;
    let (one, two) = (next(&server, &runner).await, next(&server, &runner).await);
    let (main, preview) = if one.payload["job_info"]["name"] == "pages" {
        (one, two)
    } else {
        (two, one)
    };
    let here = format!("/projects/{id}/pages/");
    read(&server, &cookie, &here).await.expect(404);
    // Each job is told where its own pages will be: of a name the last one counts.
    let shown_at = main.variable("CI_SERVER_URL").unwrap().to_owned() + here.trim_end_matches('/');
    for (job, address) in [(&main, shown_at.clone()), (&preview, format!("{shown_at}/next"))] {
        let mut variables = job.payload["variables"].as_array().unwrap().iter();
        let told = variables.rfind(|v| v["key"] == "CI_PAGES_URL");
        assert_eq!(told.unwrap()["value"], address);
    }
    let site = [
        ("public/index.html", "<h1>first</h1>"),
        ("public/a b/index.html", "inside"),
        ("public/about.html", "about"),
        ("public/x.css", "a{}"),
        ("public/404.html", "not here"),
        ("secret.txt", "beside the folder"),
    ];
    publish(&server, &main, &site).await;
    publish(&server, &preview, &[("out/index.html", "<h1>next</h1>")]).await;
    let environments = server.get(&format!("/projects/{id}/environments")).await;
    assert_eq!(
        environments["items"][0]["external_url"],
        format!("{shown_at}/next/about")
    );

    let first = read(&server, &cookie, &here).await.expect(200);
    assert_eq!(
        (first.text.as_str(), first.header("content-type")),
        ("<h1>first</h1>", "text/html; charset=utf-8")
    );
    let policy = first.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("form-action 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("script"), "{policy}");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    for (path, status, content) in [
        ("about", 200, "about"),
        ("x.css", 200, "a{}"),
        ("a%20b/", 200, "inside"),
        ("next/", 200, "<h1>next</h1>"),
        ("nothing", 404, "not here"),
        ("../secret.txt", 404, ""),
        ("..%2Fsecret.txt", 404, "not here"),
        ("next/nothing", 404, ""),
    ] {
        let found = read(&server, &cookie, &format!("{here}{path}")).await;
        assert_eq!(found.status.as_u16(), status, "{path}: {found:?}");
        assert!(content.is_empty() || found.text == content, "{path}: {found:?}");
    }
    for (path, to) in [("a%20b", "./a%20b/".to_owned()), ("next", format!("{here}next/"))] {
        let sent = read(&server, &cookie, &format!("{here}{path}")).await.expect(303);
        assert_eq!(sent.header("location"), to);
    }
    let again = server.raw(Method::GET, &here).header("Cookie", &cookie);
    let again = again
        .header("If-None-Match", first.header("etag"))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status().as_u16(), 304);

    // Who is not known is asked to log in; a token of the API opens it as well.
    let stranger = Answer::of(server.raw(Method::GET, &here).send().await.unwrap()).await;
    assert!(stranger.expect(303).header("location").starts_with("/login"));
    let page = read(&server, &cookie, &format!("/projects/{id}")).await.expect(200);
    assert!(page.text.contains(&format!("href=\"{here}\"")), "{}", page.text);

    let listed = places(&server, id).await;
    assert_eq!(
        (&listed[0]["prefix"], &listed[1]["prefix"]),
        (&json!(""), &json!("next"))
    );
    assert_eq!(
        listed[0]["expires_at"],
        Value::Null,
        "the artifact's end is not that of the pages"
    );
    assert!(
        listed[1]["expires_at"].is_string(),
        "below a prefix a day, where nothing is said"
    );
    assert!(
        listed[1]["web_url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("{here}next/"))
    );
    let gone = format!("/pages/{}", listed[1]["id"]);
    server.api(Method::DELETE, &gone, None).await.expect(204);
    server.api(Method::DELETE, &gone, None).await.expect(404);
    assert_eq!(places(&server, id).await.len(), 1);
}

/// A newer pipeline takes the place, an older one does not take it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_pipeline_is_shown() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = "pages: {script: make, retry: 0}\n";
    let id = project(&server, dir.path(), &[(".gitlab-ci.yml", config)]).await;
    let runner = server.new_runner(json!({})).await;
    let cookie = log_in(&server).await;
    let older = next(&server, &runner).await;
    git(dir.path(), &["commit", "--allow-empty", "-qm", "more"]);
    let started = json!({"ref": "main"});
    server
        .api(Method::POST, &format!("/projects/{id}/pipelines"), Some(started))
        .await
        .expect(201);
    let newer = next(&server, &runner).await;
    assert_ne!(older.id, newer.id);
    publish(&server, &newer, &[("public/index.html", "new")]).await;
    publish(&server, &older, &[("public/index.html", "old")]).await;
    let shown = read(&server, &cookie, &format!("/projects/{id}/pages/"))
        .await
        .expect(200);
    assert_eq!(shown.text, "new");
}
