//! Who may call what: every endpoint of our own API with every kind of caller, as a picture that changes visibly.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::json;
use tasuki_server::http::rest::endpoints;

use crate::support::Server;

#[tokio::test]
async fn every_endpoint_with_every_caller() {
    let server = Server::with(|config| config.limits.failed_logins_per_minute = 100_000).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    server.pipeline(project, "a:\n  script: a\n").await;
    let job = server.take(&runner).await;
    let token = async |scope: &str| {
        let made = server
            .post("/tokens", json!({"name": scope, "scope": scope}))
            .await
            .expect(201)
            .json();
        made["secret"].as_str().unwrap().to_owned()
    };
    let callers = [
        ("anonymous", String::new()),
        ("job token", job.token.clone()),
        ("runner token", runner.clone()),
        ("registration token", token("runner_registration").await),
        ("read token", token("read").await),
        ("api token", token("api").await),
        ("admin", server.running.admin_token().expose().to_owned()),
    ];
    let mut picture = String::from("endpoint | needs");
    for (name, _) in &callers {
        write!(picture, " | {name}").unwrap();
    }
    picture.push('\n');
    for endpoint in endpoints(server.app()) {
        // Ids that exist nowhere: who may pass the guard learns that nothing is there, or that the body is wrong.
        let path = endpoint
            .path
            .replace("{id}", "999999")
            .replace("{project}", "no%2Fproject");
        let path = path.replace("{key}", "K").replace("{name}", "no%2Fclass");
        write!(
            picture,
            "{} {} | {}",
            endpoint.method,
            endpoint.path,
            endpoint.access.as_str()
        )
        .unwrap();
        for (_, token) in &callers {
            let mut request = server.raw(endpoint.method.clone(), &format!("/api/v1{path}"));
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            if endpoint.method != Method::GET && endpoint.method != Method::DELETE {
                // Nothing that could be done: what matters is who gets as far as being told so.
                request = request.json(&json!([]));
            }
            let answer = match request.send().await.unwrap().status().as_u16() {
                401 => "401",
                403 => "403",
                _ => "yes",
            };
            write!(picture, " | {answer}").unwrap();
        }
        picture.push('\n');
    }
    insta::assert_snapshot!("access", picture);
}

#[tokio::test]
async fn tokens_end() {
    let server = Server::start().await;
    let made = server
        .post("/tokens", json!({"name": "t", "scope": "api"}))
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let call = async || {
        server
            .raw(Method::GET, "/api/v1/projects")
            .bearer_auth(&secret)
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(call().await, 200);
    server
        .api(Method::DELETE, &format!("/tokens/{}", made["id"]), None)
        .await
        .expect(204);
    assert_eq!(call().await, 401);
    server
        .api(Method::DELETE, &format!("/tokens/{}", made["id"]), None)
        .await
        .expect(404);
    let past = json!({"name": "t", "scope": "api", "expires_at": "2020-01-01T00:00:00Z"});
    server.post("/tokens", past).await.expect(422);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let server = Server::with(|config| config.limits.failed_logins_per_minute = 3).await;
    let guess = async |token: &str| {
        server
            .raw(Method::GET, "/api/v1/projects")
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    for _ in 0..3 {
        assert_eq!(guess("tsk-wrong").await, 401);
    }
    assert_eq!(guess("tsk-wrong").await, 429);
}

/// A page of another site may make a browser send its cookie, never our answer to it.
#[tokio::test]
async fn a_cookie_alone_changes_nothing() {
    let server = Server::start().await;
    let cookie = crate::ui::log_in(&server).await;
    let send = async |site: Option<&str>| {
        let mut request = server.raw(Method::POST, "/api/v1/tokens").header("Cookie", &cookie);
        if let Some(site) = site {
            request = request.header("Sec-Fetch-Site", site);
        }
        request
            .json(&json!({"name": "t", "scope": "read"}))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(send(None).await, 403);
    assert_eq!(send(Some("cross-site")).await, 403);
    assert_eq!(send(Some("same-site")).await, 403);
    assert_eq!(send(Some("same-origin")).await, 201);
    let read = server
        .raw(Method::GET, "/api/v1/projects")
        .header("Cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(read.status(), 200);
}
