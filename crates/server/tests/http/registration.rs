//! The life of a runner's registration (GitLab's runner protocol, runner lifecycle endpoints).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, text};

fn details() -> Value {
    json!({
        "token": "welcome", "description": "one", "tag_list": "b, a,,a", "run_untagged": false, "locked": true,
        "access_level": "ref_protected", "maximum_timeout": 700, "maintenance_note": "keep calm",
        "info": {"name": "gitlab-runner", "features": {"cancelable": true, "later": {"not": "a bool"}}}
    })
}

async fn server() -> Server {
    Server::with(|config| config.registration_token = Some("welcome".to_owned())).await
}

/// Covers: GM-REG-03
#[tokio::test]
async fn a_runner_registers_and_is_known_by_its_token() {
    let server = server().await;
    let made = server
        .runner(Method::POST, "/runners", details())
        .await
        .expect(201)
        .json();
    let (id, token) = (made["id"].as_i64().unwrap(), text(&made["token"]));
    assert!(
        id > 0 && token.starts_with("glrtr-") && made["token_expires_at"].is_null(),
        "{made}"
    );
    let shown = server.get(&format!("/runners/{id}")).await;
    assert_eq!(shown["tags"], json!(["a", "b"]));
    assert_eq!(shown["maximum_timeout_s"], 700);
    assert_eq!(
        (&shown["run_untagged"], &shown["protected_only"], &shown["locked"]),
        (&json!(false), &json!(true), &json!(true))
    );

    let verify = json!({"token": token, "system_id": "s_abcabcabcabc", "info": {"version": "18.1.0"}});
    let verified = server.runner(Method::POST, "/runners/verify", verify).await.expect(200);
    assert_eq!(verified.header("content-type"), "application/json");
    assert_eq!(verified.json()["id"], id);
    let shown = server.get(&format!("/runners/{id}")).await;
    assert_eq!(shown["managers"][0]["version"], "18.1.0");
    assert_eq!(shown["online"], true);

    // gitlab-runner before 18 verifies without a word of itself: what is known of it stays.
    let silent = json!({"token": token, "system_id": "s_abcabcabcabc"});
    server.runner(Method::POST, "/runners/verify", silent).await.expect(200);
    let shown = server.get(&format!("/runners/{id}")).await;
    assert_eq!(shown["managers"][0]["version"], "18.1.0");
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused() {
    let server = server().await;
    let check = async |change: Value, status: u16, part: &str| {
        let mut body = details();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let answer = server.runner(Method::POST, "/runners", body).await.expect(status);
        assert!(answer.text.contains(part), "{answer:?}");
        assert!(answer.json()["message"] != Value::Null, "{answer:?}");
    };
    check(json!({"token": "wrong"}), 403, "403 Forbidden").await;
    check(json!({"token": ""}), 403, "403 Forbidden").await;
    check(json!({"tag_list": " , "}), 400, "tags_list").await;
    check(json!({"maximum_timeout": 5}), 400, "maximum_timeout").await;
    check(json!({"description": "x".repeat(2000)}), 400, "description").await;
    check(json!({"tag_list": "x".repeat(300)}), 400, "tag_list").await;
    let answer = Answer::of(
        server
            .raw(Method::POST, "/api/v4/runners")
            .body("{")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert!(
        answer.expect(400).json()["message"]
            .as_str()
            .unwrap()
            .contains("400 Bad Request")
    );
}

/// Stock clients send tokens in header and body, `DELETE` with a body, and sometimes no content type.
#[tokio::test]
async fn tokens_are_taken_from_header_or_body() {
    let server = Server::start().await;
    let token = server.new_runner(json!({})).await;
    let verify = |request: reqwest::RequestBuilder| async { Answer::of(request.send().await.unwrap()).await };
    let post = || server.raw(Method::POST, "/api/v4/runners/verify");
    verify(post().header("RUNNER-TOKEN", &token)).await.expect(200);
    verify(post().body(json!({"token": token}).to_string()))
        .await
        .expect(200);
    verify(
        post()
            .header("Content-Type", "text/plain")
            .body(json!({"token": token, "system_id": null}).to_string()),
    )
    .await
    .expect(200);
    verify(post().header("RUNNER-TOKEN", "glrt-wrong")).await.expect(403);
    verify(post()).await.expect(403);
    verify(
        post()
            .header("RUNNER-TOKEN", &token)
            .body(json!({"system_id": "a\nb"}).to_string()),
    )
    .await
    .expect(400);
}

#[tokio::test]
async fn registrations_and_processes_are_removed_by_their_token() {
    let server = Server::start().await;
    let token = server.new_runner(json!({})).await;
    for system in ["s_aaaaaaaaaaaa", "r_bbbbbbbbbbbb"] {
        let body = json!({"token": token, "system_id": system});
        server.runner(Method::POST, "/runners/verify", body).await.expect(200);
    }
    let managers = async |system: Value, status: u16| {
        let body = json!({"token": token, "system_id": system});
        server
            .runner(Method::DELETE, "/runners/managers", body)
            .await
            .expect(status);
    };
    managers(json!("s_aaaaaaaaaaaa"), 204).await;
    managers(json!("s_aaaaaaaaaaaa"), 404).await;
    managers(Value::Null, 400).await;
    let runners = server.get("/runners").await;
    assert_eq!(runners["items"][0]["managers"].as_array().unwrap().len(), 1);
    server
        .runner(Method::DELETE, "/runners", json!({"token": "glrt-wrong"}))
        .await
        .expect(403);
    server
        .runner(Method::DELETE, "/runners", json!({"token": token}))
        .await
        .expect(204);
    server
        .runner(Method::POST, "/runners/verify", json!({"token": token}))
        .await
        .expect(403);
    server.ask(&token).await.expect(403);
}

#[tokio::test]
async fn a_new_token_makes_the_old_one_worthless() {
    let server = Server::start().await;
    let first = server.new_runner(json!({})).await;
    let reset = server
        .runner(
            Method::POST,
            "/runners/reset_authentication_token",
            json!({"token": first}),
        )
        .await;
    let second = text(&reset.expect(201).json()["token"]);
    server
        .runner(Method::POST, "/runners/verify", json!({"token": first}))
        .await
        .expect(403);
    server
        .runner(Method::POST, "/runners/verify", json!({"token": second}))
        .await
        .expect(200);

    let id = server.get("/runners").await["items"][0]["id"].as_i64().unwrap();
    let by_id = async |personal: &str, id: i64| {
        let path = format!("/api/v4/runners/{id}/reset_authentication_token");
        Answer::of(
            server
                .raw(Method::POST, &path)
                .header("PRIVATE-TOKEN", personal)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    by_id("wrong", id).await.expect(401);
    let admin = server.running.admin_token().expose().to_owned();
    by_id(&admin, 999).await.expect(404);
    let read = server
        .post("/tokens", json!({"name": "r", "scope": "read"}))
        .await
        .expect(201)
        .json();
    by_id(read["secret"].as_str().unwrap(), id).await.expect(403);
    let third = text(&by_id(&admin, id).await.expect(201).json()["token"]);
    server
        .runner(Method::POST, "/runners/verify", json!({"token": second}))
        .await
        .expect(403);
    server
        .runner(Method::POST, "/runners/verify", json!({"token": third}))
        .await
        .expect(200);
}

#[tokio::test]
async fn there_is_no_job_router() {
    let server = Server::start().await;
    let answer = server
        .raw(Method::GET, "/api/v4/runners/router/discovery")
        .send()
        .await
        .unwrap();
    Answer::of(answer).await.expect(501);
}

#[tokio::test]
async fn the_request_id_comes_back() {
    let server = Server::start().await;
    let send = async |id: &str| {
        let request = server.raw(Method::GET, "/healthz").header("X-Request-Id", id);
        Answer::of(request.send().await.unwrap())
            .await
            .header("x-request-id")
            .to_owned()
    };
    assert_eq!(
        send("0af7651916cd43dd8448eb211c80319c").await,
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_ne!(send("a b").await, "a b");
}

#[tokio::test]
async fn guessing_registration_tokens_is_slowed_down() {
    let server = Server::with(|config| {
        config.registration_token = Some("welcome".to_owned());
        config.limits.failed_logins_per_minute = 3;
    })
    .await;
    for _ in 0..3 {
        server
            .runner(Method::POST, "/runners", json!({"token": "guess"}))
            .await
            .expect(403);
    }
    let refused = server.runner(Method::POST, "/runners", details()).await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
}

/// A runner that takes a new token in time never sees the end of the old one.
#[tokio::test]
async fn tokens_live_as_long_as_the_server_says() {
    let clock = tasuki_rt::Clock::manual(1_700_000_000_000);
    let server = Server::at_with(&clock, |config| config.runner_token_lifetime_s = 1000).await;
    let made = server
        .post("/runners", json!({"name": "r", "run_untagged": true}))
        .await
        .expect(201)
        .json();
    let first = text(&made["token"]);
    assert_eq!(made["token_expires_at"], "2023-11-14T22:30:00.000Z");
    let verify = async |token: &str, status: u16| {
        server
            .runner(Method::POST, "/runners/verify", json!({"token": token}))
            .await
            .expect(status)
    };
    assert_eq!(
        verify(&first, 200).await.json()["token_expires_at"],
        "2023-11-14T22:30:00.000Z"
    );
    clock.advance(Duration::from_secs(750));
    let reset = server
        .runner(
            Method::POST,
            "/runners/reset_authentication_token",
            json!({"token": first}),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(reset["token_expires_at"], "2023-11-14T22:42:30.000Z");
    clock.advance(Duration::from_secs(999));
    verify(&text(&reset["token"]), 200).await;
    clock.advance(Duration::from_secs(1));
    verify(&text(&reset["token"]), 403).await;
    server.ask(&text(&reset["token"])).await.expect(403);
}

/// 410 tells people that no other token will help; 403 that this one is wrong.
#[tokio::test]
async fn without_registration_tokens_registration_is_gone() {
    let server = Server::start().await;
    let gone = server.runner(Method::POST, "/runners", details()).await.expect(410);
    assert!(
        gone.json()["message"].as_str().unwrap().contains("/api/v1/runners"),
        "{gone:?}"
    );
    let made = server
        .post("/tokens", json!({"name": "t", "scope": "runner_registration"}))
        .await
        .expect(201)
        .json();
    server.runner(Method::POST, "/runners", details()).await.expect(403);
    let mut body = details();
    body["token"] = made["secret"].clone();
    server.runner(Method::POST, "/runners", body).await.expect(201);
}

/// Clients print `message` and nothing else.
#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_the_protocols_form() {
    let server = Server::start().await;
    let check = async |method: Method, path: &str, status: u16| {
        let answer = Answer::of(server.raw(method, path).send().await.unwrap())
            .await
            .expect(status);
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.json()["message"].is_string(), "{answer:?}");
    };
    check(Method::GET, "/api/v4/no/such/path", 404).await;
    check(Method::GET, "/api/v4/jobs/request", 405).await;
    check(Method::PUT, "/api/v4/runners", 405).await;
    check(Method::PUT, "/api/v4/jobs/first", 400).await;
    check(Method::POST, "/api/v4/jobs/1/artifacts", 400).await;
}
