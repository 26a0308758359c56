//! Webhooks from their arrival to the pipeline.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use serde_json::json;
use tasuki_model::id::ProjectId;
use tasuki_rt::{Clock, Tasks};
use tasuki_store::deliveries;

use super::world::{World, commit, git};
use crate::git::{Credential, Mirror, Remote, info_refs, upload_pack};
use crate::triggers::forge::Forge;
use crate::triggers::{HookRefused, Received};

const CONFIG: &str = "job:\n  script: [make]\n";
const SECRET: &str = "s3cret";

#[derive(Clone)]
struct Served {
    mirror: Mirror,
    tasks: Tasks,
}

/// A forge that serves the repository over HTTP, as it is at each request.
pub(super) struct FakeForge {
    mirror: Mirror,
    origin: Remote,
    pub(super) url: String,
}

impl FakeForge {
    pub(super) async fn serve(world: &World, dir: &Path) -> Self {
        let mirror = world.triggers.inner.parts.mirrors.of(ProjectId(1_000_000));
        let origin = Remote::new(dir.to_str().unwrap(), Credential::None).unwrap();
        mirror.fetch(&origin).await.unwrap();
        // Not of the world's tasks: the forge lives on when our server restarts.
        let tasks = Tasks::new();
        let app = Router::new()
            .route("/a/b.git/info/refs", get(advertised))
            .route("/a/b.git/git-upload-pack", post(packed))
            .with_state(Served {
                mirror: mirror.clone(),
                tasks: tasks.clone(),
            });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a/b.git", listener.local_addr().unwrap());
        tasks.spawn("forge", async move { axum::serve(listener, app).await });
        Self { mirror, origin, url }
    }

    pub(super) async fn publish(&self) {
        self.mirror.fetch(&self.origin).await.unwrap();
    }

    fn push(&self, git_ref: &str, before: &str, after: &str) -> Vec<u8> {
        let body = json!({
            "object_kind": "push", "ref": git_ref, "before": before, "after": after, "checkout_sha": after,
            "user_username": "ada", "user_name": "Ada", "project": {"git_http_url": self.url},
        });
        body.to_string().into_bytes()
    }
}

async fn advertised(
    State(served): State<Served>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> axum::response::Response {
    let service = query.as_deref().and_then(|query| query.strip_prefix("service="));
    info_refs(&served.mirror, &headers, service).await
}

async fn packed(State(served): State<Served>, headers: HeaderMap, body: Body) -> axum::response::Response {
    upload_pack(&served.mirror, &served.tasks, &headers, body).await
}

fn headers(secret: &str, delivery: &str) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in [
        ("x-gitlab-event", "Push Hook"),
        ("x-gitlab-token", secret),
        ("idempotency-key", delivery),
    ] {
        all.insert(name, value.parse().unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_makes_one_pipeline_however_often_it_comes() {
    let mut world = World::new().await;
    let dir = world.repository("app", CONFIG);
    let forge = FakeForge::serve(&world, &dir).await;
    let settings = json!({"hook_secret": SECRET}).to_string();
    world.add("gitlab", &forge.url, &settings).await;
    let zeros = "0".repeat(40);
    let tip = commit(&dir, "Second");
    forge.publish().await;
    let body = forge.push("refs/heads/main", &zeros, &tip);
    let receive = |secret: &str, delivery: &str, body: &[u8]| {
        let (triggers, headers, body) = (world.triggers.clone(), headers(secret, delivery), body.to_vec());
        async move { triggers.receive(Forge::Gitlab, &headers, &body).await }
    };
    assert!(matches!(receive("guess", "1", &body).await, Err(HookRefused::Unknown)));
    assert!(matches!(
        receive(SECRET, "1", b"not json").await,
        Err(HookRefused::Body(_))
    ));
    assert_eq!(receive(SECRET, "1", &body).await.unwrap(), Received::Stored);
    assert_eq!(receive(SECRET, "1", &body).await.unwrap(), Received::Repeated);
    world.wait_for(1).await;
    let pipeline = world.pipelines().await.remove(0);
    assert_eq!((pipeline.sha.as_str(), pipeline.author.as_str()), (tip.as_str(), "Ada"));

    git(&dir, &["tag", "-a", "v1", "-m", "One"]);
    let tag_object = git(&dir, &["rev-parse", "v1"]);
    assert_ne!(tag_object, tip);
    forge.publish().await;
    let body = forge.push("refs/tags/v1", &zeros, &tag_object);
    assert_eq!(receive(SECRET, "2", &body).await.unwrap(), Received::Stored);
    world.wait_for(2).await;
    let pipeline = world.pipelines().await.remove(1);
    assert_eq!(
        (pipeline.ref_kind.as_str(), pipeline.sha),
        ("tag", tip.clone()),
        "the tag object leads to its commit"
    );

    let gone = forge.push("refs/heads/main", &tip, &zeros);
    world.deploy("review", "branch", "main").await;
    assert_eq!(receive(SECRET, "3", &gone).await.unwrap(), Received::Stored);
    world.wait_until_stopped("review").await;
    world.restart().await;
    assert_eq!(world.wait_for(2).await.len(), 2);
}

/// The event arrives before the forge shows the commit, and the server dies in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_webhook_survives_a_restart_and_an_early_arrival() {
    let mut world = World::new().await;
    let dir = world.repository("app", CONFIG);
    let forge = FakeForge::serve(&world, &dir).await;
    world
        .add("gitlab", &forge.url, &json!({"hook_secret": SECRET}).to_string())
        .await;
    let tip = commit(&dir, "Not published yet");
    let body = forge.push("refs/heads/main", &"0".repeat(40), &tip);
    let stored = world
        .triggers
        .receive(Forge::Gitlab, &headers(SECRET, "1"), &body)
        .await
        .unwrap();
    assert_eq!(stored, Received::Stored);
    let start = Clock::instant();
    loop {
        let delivery = world
            .store
            .read(|tx| deliveries::list(tx, None, 1))
            .await
            .unwrap()
            .remove(0);
        assert!(delivery.done_ms.is_none(), "given up: {:?}", delivery.outcome);
        if delivery.outcome.is_some() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "it is not even tried");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.restart().await;
    forge.publish().await;
    world.wait_for(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_options_are_obeyed() {
    let world = World::new().await;
    let dir = world.repository("app", CONFIG);
    let forge = FakeForge::serve(&world, &dir).await;
    world
        .add("gitlab", &forge.url, &json!({"hook_secret": SECRET}).to_string())
        .await;
    let tip = git(&dir, &["rev-parse", "HEAD"]);
    let with = |options: serde_json::Value| {
        let mut body: serde_json::Value =
            serde_json::from_slice(&forge.push("refs/heads/main", &"0".repeat(40), &tip)).unwrap();
        body["push_options"] = json!({"ci": options});
        body.to_string().into_bytes()
    };
    for (n, options) in [
        json!({"no_pipeline": true}),
        json!({"skip": true}),
        json!({"variable": {"A=1": 1}}),
    ]
    .into_iter()
    .enumerate()
    {
        let headers = headers(SECRET, &n.to_string());
        world
            .triggers
            .receive(Forge::Gitlab, &headers, &with(options))
            .await
            .unwrap();
    }
    world.wait_for(2).await;
    let all = world.pipelines().await;
    let skipped = all.iter().filter(|p| p.job_count == 0).count();
    assert_eq!((all.len(), skipped), (2, 1));
}

fn request_headers(delivery: &str) -> HeaderMap {
    let mut all = headers(SECRET, delivery);
    all.insert("x-gitlab-event", "Merge Request Hook".parse().unwrap());
    all
}

/// A merge request's pipeline knows both branches, `changes` compares with where they parted, a fork's is not built, and
/// the branch's own pipelines know that the request is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merge_requests_have_pipelines_of_their_own() {
    let world = World::new().await;
    let config = "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n    \
                  - if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS\n      when: never\n    - if: $CI_COMMIT_BRANCH\n\
                  touched: {script: x, rules: [{changes: [side.txt]}]}\n\
                  untouched: {script: x, rules: [{changes: [main.txt]}]}\n\
                  always: {script: x}\n";
    let dir = world.repository("app", config);
    git(&dir, &["checkout", "-q", "-b", "side"]);
    std::fs::write(dir.join("side.txt"), "x").unwrap();
    let head = commit(&dir, "Side");
    git(&dir, &["checkout", "-q", "main"]);
    std::fs::write(dir.join("main.txt"), "x").unwrap();
    commit(&dir, "Main moves on");
    let forge = FakeForge::serve(&world, &dir).await;
    let project = world
        .add("gitlab", &forge.url, &json!({"hook_secret": SECRET}).to_string())
        .await;
    let body = |action: &str, source: i64| {
        let body = json!({
            "object_kind": "merge_request", "user": {"username": "ada"}, "project": {"git_http_url": forge.url},
            "object_attributes": {
                "id": 99, "iid": 7, "title": "Side", "action": action, "source_branch": "side", "target_branch": "main",
                "source_project_id": source, "target_project_id": 1, "last_commit": {"id": head},
            },
        });
        body.to_string().into_bytes()
    };
    let send = async |delivery: &str, body: Vec<u8>| {
        let headers = request_headers(delivery);
        world.triggers.receive(Forge::Gitlab, &headers, &body).await.unwrap()
    };
    assert_eq!(send("fork", body("open", 2)).await, Received::Stored);
    assert_eq!(send("own", body("open", 1)).await, Received::Stored);
    world.wait_for(1).await;
    let row = world.pipelines().await.remove(0);
    assert_eq!(
        (row.source.as_str(), row.ref_name.as_str()),
        ("merge_request_event", "refs/merge-requests/7/head")
    );
    assert_eq!(
        (row.ref_kind.as_str(), row.sha.as_str()),
        ("merge_request", head.as_str())
    );
    let names = world.store.read(move |tx| {
        let jobs = tasuki_store::jobs::of_pipeline(tx, row.id)?;
        Ok(jobs.into_iter().map(|job| job.name).collect::<Vec<_>>())
    });
    assert_eq!(names.await.unwrap(), ["touched", "always"]);
    // The branch's own push starts nothing while the request is open.
    let want = || crate::triggers::Want {
        source: tasuki_model::trigger::Source::Api,
        git_ref: Some("side".to_owned()),
        commit: None,
        variables: Vec::new(),
        inputs: Vec::new(),
        user: None,
        key: None,
        payload: None,
        more: crate::triggers::Circumstances::default(),
    };
    let start = Clock::instant();
    let run = async || crate::triggers::first(world.triggers.run(project.clone(), want()).await.unwrap());
    let started = run().await;
    assert!(matches!(started, crate::triggers::Started::None(_)), "{started:?}");
    world
        .deploy("review", "merge_request", "refs/merge-requests/7/head")
        .await;
    assert_eq!(send("closed", body("merge", 1)).await, Received::Stored);
    world.wait_until_stopped("review").await;
    loop {
        match run().await {
            crate::triggers::Started::New { .. } => break,
            other => assert!(start.elapsed() < Duration::from_secs(30), "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
