//! Our own API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, text};

#[tokio::test]
async fn the_api_describes_itself() {
    let server = Server::start().await;
    let answer = server.raw(Method::GET, "/api/v1/openapi.json").send().await.unwrap();
    let document: Value = Answer::of(answer).await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).unwrap());
}

#[tokio::test]
async fn problems_have_codes() {
    let server = Server::start().await;
    let check = async |method: Method, path: &str, body: Option<Value>, status: u16, code: &str| {
        let answer = server.api(method, path, body).await.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(
            (answer.json()["code"].clone(), answer.json()["status"].clone()),
            (json!(code), json!(status))
        );
        assert!(answer.json()["title"].is_string());
    };
    check(Method::GET, "/projects/nope%2Fnope", None, 404, "not_found").await;
    check(Method::GET, "/pipelines/abc", None, 404, "not_found").await;
    check(Method::GET, "/nowhere", None, 404, "not_found").await;
    check(Method::PUT, "/projects", Some(json!({})), 405, "method_not_allowed").await;
    check(Method::POST, "/runners", Some(json!({"tags": "x"})), 422, "invalid").await;
    check(
        Method::POST,
        "/runners",
        Some(json!({"scope": "project"})),
        422,
        "invalid",
    )
    .await;
    check(
        Method::POST,
        "/projects",
        Some(json!({"location": "/nonexistent"})),
        422,
        "invalid",
    )
    .await;
    check(
        Method::POST,
        "/projects",
        Some(json!({"location": "file:///etc"})),
        422,
        "invalid",
    )
    .await;
    check(Method::GET, "/pipelines?cursor=x", None, 422, "invalid").await;
    check(Method::GET, "/pipelines?limit=x", None, 400, "bad_request").await;
    check(Method::POST, "/jobs/1/play", None, 404, "not_found").await;
    let broken = server
        .raw(Method::POST, "/api/v1/runners")
        .bearer_auth(server.running.admin_token().expose());
    let answer = broken
        .header("Content-Type", "application/json")
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(Answer::of(answer).await.expect(400).json()["code"], "bad_request");
    let xml = server
        .raw(Method::POST, "/api/v1/runners")
        .bearer_auth(server.running.admin_token().expose());
    let answer = xml
        .header("Content-Type", "application/xml")
        .body("<a/>")
        .send()
        .await
        .unwrap();
    assert_eq!(
        Answer::of(answer).await.expect(415).json()["code"],
        "unsupported_media_type"
    );
    let large = "x".repeat(3 << 20);
    let answer = server.post("/lint", json!({"content": large})).await.expect(413);
    assert_eq!(answer.json()["code"], "too_large");
}

#[tokio::test]
async fn pipelines_are_listed_page_by_page() {
    let server = Server::start().await;
    let (one, two) = (server.project("a/one").await, server.project("b/two").await);
    let mut ids = Vec::new();
    for project in [one, two, one, one, two] {
        ids.push(server.pipeline(project, "a:\n  script: a\n").await.0);
    }
    let page = server.get("/pipelines?limit=3").await;
    let shown = |page: &Value| -> Vec<i64> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["id"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(shown(&page), [ids[4], ids[3], ids[2]]);
    let rest = server
        .get(&format!("/pipelines?limit=3&cursor={}", text(&page["next"])))
        .await;
    assert_eq!((shown(&rest), rest.get("next")), (vec![ids[1], ids[0]], None));
    let of_one = server.get("/projects/a%2Fone/pipelines").await;
    assert_eq!(shown(&of_one), [ids[3], ids[2], ids[0]]);
    assert_eq!(of_one["items"][0]["iid"], 3);
    let detail = server.get(&format!("/pipelines/{}", ids[0])).await;
    assert_eq!(detail["workflows"][0]["jobs"][0]["name"], "a");
    assert_eq!(
        (&detail["title"], &detail["counts"]["pending"]),
        (&json!("Tie the sash"), &json!(1))
    );
}

/// Covers: CM-RC-02, CM-RC-06, CM-RC-07, CM-RC-10, CM-TOK-04, CM-TOK-06
#[tokio::test]
async fn resource_classes_have_tokens_of_their_own() {
    let server = Server::start().await;
    let made = server
        .post("/resource_classes", json!({"name": "acme/linux"}))
        .await
        .expect(201)
        .json();
    let first = text(&made["token"]["secret"]);
    for name in ["linux", "acme/", "/linux", "acme/a b", "a/b/c"] {
        server
            .post("/resource_classes", json!({"name": name}))
            .await
            .expect(422);
    }
    server
        .post("/resource_classes", json!({"name": "acme/linux"}))
        .await
        .expect(409);
    let more = json!({"name": "second", "scope": "resource_class", "resource_class": "acme/linux"});
    let second = server.post("/tokens", more).await.expect(201).json();
    let tokens = server.get("/tokens?resource_class=acme%2Flinux").await;
    assert_eq!(tokens["items"].as_array().unwrap().len(), 2);
    let verify = async |token: &str, status: u16| {
        server
            .runner(Method::POST, "/runners/verify", json!({"token": token}))
            .await
            .expect(status);
    };
    verify(&first, 200).await;
    verify(second["secret"].as_str().unwrap(), 200).await;
    server
        .api(Method::DELETE, &format!("/tokens/{}", second["id"]), None)
        .await
        .expect(204);
    verify(second["secret"].as_str().unwrap(), 403).await;
    verify(&first, 200).await;
    assert_eq!(server.get("/resource_classes").await["items"][0]["name"], "acme/linux");
    server
        .api(Method::DELETE, "/resource_classes/acme%2Flinux", None)
        .await
        .expect(204);
    verify(&first, 403).await;
    assert!(
        server.get("/tokens?resource_class=acme%2Flinux").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    server
        .api(Method::DELETE, "/resource_classes/acme%2Flinux", None)
        .await
        .expect(404);
}

#[tokio::test]
async fn variables_reach_the_jobs_that_may_see_them() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let put = async |key: &str, more: Value| {
        let mut body = json!({"key": key});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server
            .api(Method::PUT, &format!("/projects/{project}/variables/{key}"), Some(body))
            .await
    };
    put("PLAIN", json!({"value": "from settings"})).await.expect(200);
    let masked = put("SECRET", json!({"value": "hush-hush-hush", "masked": true}))
        .await
        .expect(200);
    assert!(!masked.text.contains("hush"));
    put("GUARDED", json!({"value": "for main", "protected": true}))
        .await
        .expect(200);
    put("SCOPED", json!({"value": "live", "environment_scope": "live/*"}))
        .await
        .expect(200);
    put("SHORT", json!({"value": "abc", "masked": true})).await.expect(422);
    put("LINES", json!({"value": "two\nlines are too many", "masked": true}))
        .await
        .expect(422);
    put("A-B", json!({"value": "x"})).await.expect(422);
    let listed = server
        .api(Method::GET, &format!("/projects/{project}/variables"), None)
        .await
        .expect(200);
    assert!(
        listed.text.contains("from settings") && !listed.text.contains("hush-hush"),
        "{}",
        listed.text
    );

    let yaml =
        "a:\n  script: a\n  variables: {PLAIN: yaml, OWN: yaml}\n  environment: {name: live/eu}\nb:\n  script: b\n";
    server.pipeline_of(project, yaml, "main").await;
    let (a, b) = (server.take(&runner).await, server.take(&runner).await);
    let seen = |job: &crate::support::Job| {
        ["PLAIN", "OWN", "SECRET", "GUARDED", "SCOPED"].map(|key| job.variable(key).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen(&a),
        [
            some("from settings"),
            some("yaml"),
            some("hush-hush-hush"),
            some("for main"),
            some("live")
        ]
    );
    assert_eq!(
        seen(&b),
        [
            some("from settings"),
            None,
            some("hush-hush-hush"),
            some("for main"),
            None
        ]
    );
    let secret = a.payload["variables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["key"] == "SECRET")
        .unwrap()
        .clone();
    assert_eq!((&secret["masked"], &secret["public"]), (&json!(true), &json!(false)));
    server.pipeline_of(project, "c:\n  script: c\n", "topic").await;
    let c = server.take(&runner).await;
    assert_eq!(
        (c.variable("GUARDED"), c.variable("PLAIN")),
        (None, Some("from settings"))
    );
    server
        .api(Method::DELETE, &format!("/projects/{project}/variables/PLAIN"), None)
        .await
        .expect(204);
    server
        .api(Method::DELETE, &format!("/projects/{project}/variables/PLAIN"), None)
        .await
        .expect(404);
}

#[tokio::test]
async fn a_manual_job_is_played_with_variables() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, "go:\n  script: go\n  when: manual\n").await;
    let job = server.job(pipeline, "go").await;
    let path = format!("/jobs/{}", job["id"]);
    let shown = server.get(&path).await;
    assert_eq!(
        (&shown["status"], &shown["why_pending"]["cause"]),
        (&json!("manual"), &json!("manual"))
    );
    server
        .post(
            &format!("{path}/play"),
            json!({"variables": [{"key": "a b", "value": "x"}]}),
        )
        .await
        .expect(422);
    let played = server
        .post(
            &format!("{path}/play"),
            json!({"variables": [{"key": "HOW", "value": "fast"}]}),
        )
        .await;
    assert_eq!(played.expect(200).json()["status"], "pending");
    server.post(&format!("{path}/play"), json!({})).await.expect(409);
    assert_eq!(server.take(&runner).await.variable("HOW"), Some("fast"));
}

#[tokio::test]
async fn a_waiting_job_says_why() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let pipeline = server.pipeline(project, "a:\n  script: a\n  tags: [gpu]\n").await;
    let path = format!("/jobs/{}", server.job(pipeline, "a").await["id"]);
    assert_eq!(server.get(&path).await["why_pending"]["cause"], "no_runner");
    server.new_runner(json!({"tags": ["cpu"]})).await;
    let why = server.get(&path).await["why_pending"].clone();
    assert_eq!(why["cause"], "no_matching_runner");
    assert!(text(&why["remedy"]).contains("gpu"), "{why}");
}

#[tokio::test]
async fn a_text_is_checked() {
    let server = Server::start().await;
    let good = server
        .post("/lint", json!({"content": "a:\n  script: make\n"}))
        .await
        .expect(200)
        .json();
    assert_eq!(good, json!([]));
    let bad = server
        .post("/lint", json!({"content": "a:\n  scrypt: make\n"}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&bad[0]["severity"], &bad[0]["line"]),
        (&json!("error"), &json!(1)),
        "{bad}"
    );
    server
        .post("/lint", json!({"content": "a", "lang": "cobol"}))
        .await
        .expect(422);
}

#[tokio::test]
async fn changes_are_streamed() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, "a:\n  script: a\n").await;
    let request = server.raw(Method::GET, &format!("/api/v1/pipelines/{pipeline}/events"));
    let mut stream = request
        .bearer_auth(server.running.admin_token().expose())
        .send()
        .await
        .unwrap();
    let next = async |stream: &mut reqwest::Response| {
        String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap()
    };
    assert!(next(&mut stream).await.contains("\"status\":\"pending\""));
    let job = server.take(&runner).await;
    let mut seen = String::new();
    while !seen.contains("\"status\":\"running\"") {
        seen.push_str(&next(&mut stream).await);
    }
    server.state(&job, json!({"state": "success"})).await.expect(200);
    let rest = Answer::of(stream).await.text;
    assert!(
        rest.contains("\"status\":\"success\"") && rest.contains("event: end"),
        "{rest}"
    );
}

#[tokio::test]
async fn webhooks_of_strangers_are_refused() {
    let server = Server::start().await;
    server.project("group/name").await;
    let send = async |forge: &str, body: Value| {
        let request = server
            .raw(Method::POST, &format!("/hooks/{forge}"))
            .header("X-Gitlab-Event", "Push Hook");
        Answer::of(
            request
                .header("X-Gitlab-Token", "guess")
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    send("svn", json!({})).await.expect(404);
    let push = json!({"object_kind": "push", "ref": "refs/heads/main", "project": {"git_http_url": "https://forge.example/x/y.git"}});
    assert!(send("gitlab", push).await.status.is_client_error());
    assert!(send("gitlab", json!([])).await.status.is_client_error());
}

#[tokio::test]
async fn the_server_tells_how_it_is() {
    let server = Server::start().await;
    let get = async |path: &str| {
        Answer::of(server.raw(Method::GET, path).send().await.unwrap())
            .await
            .expect(200)
    };
    assert_eq!(get("/healthz").await.text, "ok\n");
    assert_eq!(get("/readyz").await.text, "ready\n");
    let metrics = get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(metrics.text.contains("tasuki_http_requests_total") && metrics.text.ends_with("# EOF\n"));
    assert!(get("/api/v1/version").await.json()["version"].is_string());
}
