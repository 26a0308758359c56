//! Pull requests, from the forges' webhooks to what the runner of a job gets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tasuki_rt::Clock;

use crate::support::{Answer, Job, Server, request, text};
use crate::triggers::git;

const SECRET: &str = "s3cret";

/// Gives the files of a repository as git's plain HTTP protocol wants them.
async fn file(State(root): State<PathBuf>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
    let path = uri.path().strip_prefix("/a/b.git/").ok_or(StatusCode::NOT_FOUND)?;
    std::fs::read(root.join(".git").join(path)).map_err(|_| StatusCode::NOT_FOUND)
}

/// A repository that is served, and the project that builds it.
struct Forge {
    server: Server,
    dir: tempfile::TempDir,
    url: String,
    project: i64,
    sent: usize,
}

impl Forge {
    async fn new(workflows: &[(&str, &str)], build_forks: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main"]);
        std::fs::create_dir_all(dir.path().join(".github/workflows")).unwrap();
        for (name, content) in workflows {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        commit(dir.path(), "First");
        git(dir.path(), &["checkout", "-q", "-b", "side"]);
        std::fs::create_dir_all(dir.path().join("docs")).unwrap();
        std::fs::write(dir.path().join("docs/page.md"), "x").unwrap();
        commit(dir.path(), "Side");
        git(dir.path(), &["checkout", "-q", "main"]);
        std::fs::write(dir.path().join("main.rs"), "x").unwrap();
        commit(dir.path(), "Main moves on");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a/b.git", listener.local_addr().unwrap());
        let app = Router::new().fallback(file).with_state(dir.path().to_owned());
        #[expect(clippy::disallowed_methods, reason = "the forge is none of the server's tasks")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        let server = Server::start().await;
        let body = json!({"location": url, "path": "acme/app", "default_branch": "main", "hook_secret": SECRET,
            "build_forks": build_forks});
        let project = server.post("/projects", body).await.expect(201).json()["id"]
            .as_i64()
            .unwrap();
        Self {
            server,
            dir,
            url,
            project,
            sent: 0,
        }
    }

    fn tip(&self, name: &str) -> String {
        git(self.dir.path(), &["rev-parse", name])
    }

    /// Sends what GitHub or Gitea sends of a pull request from `side` into `base`.
    async fn pull(&mut self, forge: &str, action: &str, base: &str, change: impl FnOnce(&mut Value)) {
        let mut body = json!({
            "action": action,
            "number": 7,
            "pull_request": {
                "id": 99, "number": 7, "title": "Side", "body": "", "draft": false, "merged": false,
                "html_url": "https://forge.example/a/b/pull/7", "labels": [{"name": "bug"}],
                "head": {"ref": "side", "sha": self.tip("side"), "repo": {"full_name": "a/b"}},
                "base": {"ref": base, "sha": self.tip("main"), "repo": {"full_name": "a/b"}},
            },
            "repository": {"clone_url": self.url, "full_name": "a/b"},
            "sender": {"login": "ada"},
        });
        change(&mut body);
        self.send(forge, "pull_request", &body).await;
    }

    async fn send(&mut self, forge: &str, event: &str, body: &Value) {
        self.sent += 1;
        let bytes = body.to_string().into_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&bytes);
        let sum: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let request = self.server.raw(Method::POST, &format!("/hooks/{forge}"));
        let delivery = format!("delivery-{}", self.sent);
        let request = match forge {
            "github" => request
                .header("X-GitHub-Event", event)
                .header("X-GitHub-Delivery", delivery)
                .header("X-Hub-Signature-256", format!("sha256={sum}")),
            "gitea" => request
                .header("X-Gitea-Event", event)
                .header("X-Gitea-Delivery", delivery)
                .header("X-Gitea-Signature", sum),
            _ => request
                .header("X-Gitlab-Event", event)
                .header("Idempotency-Key", delivery)
                .header("X-Gitlab-Token", SECRET),
        };
        let answer = request.header("Content-Type", "application/json").body(bytes).send();
        Answer::of(answer.await.unwrap()).await.expect(202);
    }

    /// Waits until all that was sent has been worked on, then gives the names of all jobs of each pipeline, oldest first.
    async fn pipelines(&self) -> Vec<(i64, Vec<String>)> {
        let sent = i64::try_from(self.sent).unwrap();
        let start = Clock::instant();
        loop {
            let store = self.server.app().store();
            let all = store
                .read(|tx| tasuki_store::deliveries::list(tx, None, 100))
                .await
                .unwrap();
            let done = all.iter().filter(|delivery| delivery.done_ms.is_some()).count();
            if i64::try_from(done).unwrap() == sent {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{all:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let list = self.server.get(&format!("/projects/{}/pipelines", self.project)).await;
        let mut all = Vec::new();
        for pipeline in list["items"].as_array().unwrap().iter().rev() {
            let id = pipeline["id"].as_i64().unwrap();
            let jobs = self.server.get(&format!("/pipelines/{id}/jobs")).await;
            let names = jobs["items"].as_array().unwrap().iter().map(|job| text(&job["name"]));
            all.push((id, names.collect()));
        }
        all
    }

    /// The names of the jobs of all pipelines, one text for each.
    async fn jobs(&self) -> Vec<String> {
        let all = self.pipelines().await;
        all.into_iter().map(|(_, jobs)| jobs.join(" ")).collect()
    }

    /// A job as a runner of tasuki's gets it.
    async fn take(&self) -> Job {
        let token = self.server.new_runner(json!({"tags": ["linux"]})).await;
        let mut body = request(&token);
        body["info"]["features"]["tasuki"] = json!(true);
        let job = self
            .server
            .runner(Method::POST, "/jobs/request", body)
            .await
            .expect(201)
            .json();
        Job {
            id: job["id"].as_i64().unwrap(),
            token: text(&job["token"]),
            payload: job,
        }
    }
}

fn commit(dir: &Path, message: &str) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", message]);
    git(dir, &["update-server-info"]);
}

const BY_TYPES: &[(&str, &str)] = &[
    (
        ".github/workflows/a.yml",
        "on: pull_request\njobs: {usual: {runs-on: linux, steps: [{run: x}]}}\n",
    ),
    (
        ".github/workflows/b.yml",
        "on: {pull_request: {types: [labeled, closed]}}\njobs: {typed: {runs-on: linux, steps: [{run: x}]}}\n",
    ),
    (
        ".github/workflows/c.yml",
        "on: {pull_request: {branches: ['release/**']}}\njobs: {release: {runs-on: linux, steps: [{run: x}]}}\n",
    ),
    (
        ".github/workflows/d.yml",
        "on: {pull_request: {paths: ['docs/**']}}\njobs: {docs: {runs-on: linux, steps: [{run: x}]}}\n",
    ),
    (
        ".github/workflows/e.yml",
        "on: {pull_request: {paths: ['main.rs']}}\njobs: {code: {runs-on: linux, steps: [{run: x}]}}\n",
    ),
    (
        ".gitlab-ci.yml",
        "lab: {script: [x], rules: [{if: $CI_MERGE_REQUEST_IID}]}\n",
    ),
];

/// Types, branches and the paths of the real difference decide, for each forge in its own words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activities_branches_and_paths_choose_the_workflows() {
    for forge in ["github", "gitea"] {
        let mut world = Forge::new(BY_TYPES, false).await;
        world.pull(forge, "opened", "main", |_| {}).await;
        assert_eq!(world.jobs().await, ["lab", "usual docs"], "{forge}");
        let labeled = if forge == "gitea" { "label_updated" } else { "labeled" };
        world.pull(forge, labeled, "main", |_| {}).await;
        assert_eq!(
            world.jobs().await[2..],
            ["typed"],
            "{forge}: no new commits for GitLab's jobs"
        );
        let pushed = if forge == "gitea" {
            "synchronized"
        } else {
            "synchronize"
        };
        world.pull(forge, pushed, "release/1", |_| {}).await;
        assert_eq!(world.jobs().await[3..], ["lab", "usual release docs code"], "{forge}");
        world.pull(forge, "edited", "main", |_| {}).await;
        world.pull(forge, "closed", "main", |_| {}).await;
        assert_eq!(world.jobs().await[5..], ["typed"], "{forge}");
    }
}

/// A merge request of GitLab is a pull request to a workflow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merge_requests_of_gitlab_start_workflows() {
    let mut world = Forge::new(BY_TYPES, false).await;
    let body = |world: &Forge, action: &str, changes: Value| {
        json!({
            "object_kind": "merge_request", "user": {"username": "ada"}, "project": {"git_http_url": world.url},
            "changes": changes,
            "object_attributes": {
                "id": 99, "iid": 7, "title": "Side", "action": action, "source_branch": "side", "target_branch": "main",
                "source_project_id": 1, "target_project_id": 1, "last_commit": {"id": world.tip("side")},
            },
        })
    };
    let opened = body(&world, "open", json!({}));
    world.send("gitlab", "Merge Request Hook", &opened).await;
    assert_eq!(world.jobs().await, ["lab", "usual docs"]);
    let labels = json!({"labels": {"previous": [], "current": [{"title": "bug"}]}});
    let labeled = body(&world, "update", labels);
    world.send("gitlab", "Merge Request Hook", &labeled).await;
    assert_eq!(world.jobs().await[2..], ["typed"]);
    let approved = body(&world, "approved", json!({}));
    world.send("gitlab", "Merge Request Hook", &approved).await;
    assert_eq!(world.jobs().await.len(), 3);
}

const SHOWS: &[(&str, &str)] = &[(
    ".github/workflows/a.yml",
    "on: {pull_request: {types: [opened, closed]}}\njobs:\n  j:\n    runs-on: linux\n    env:\n      \
     SEEN: '${{ github.event.action }} ${{ github.event.pull_request.head.ref }} ${{ github.event.pull_request.labels[0].name }} \
     ${{ github.event.pull_request.html_url }} ${{ github.event.pull_request.merged }} ${{ vars.PLAIN }}'\n    \
     steps: [{run: 'echo ${{ secrets.HIDDEN }}'}]\n",
)];

/// Head, base and the forge's own words reach the job; of a fork no secret does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_sees_its_pull_request_and_a_forks_no_secret() {
    let mut world = Forge::new(SHOWS, true).await;
    for (key, masked) in [("HIDDEN", true), ("PLAIN", false)] {
        let body = json!({"key": key, "value": format!("value-of-{key}"), "masked": masked});
        let path = format!("/projects/{}/variables/{key}", world.project);
        world.server.api(Method::PUT, &path, Some(body)).await;
    }
    let side = world.tip("side");
    world.pull("github", "opened", "main", |_| {}).await;
    world.pipelines().await;
    let own = world.take().await;
    for (key, value) in [
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_HEAD_REF", "side"),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_REF_NAME", "7/merge"),
        ("GITHUB_SHA", side.as_str()),
        ("HIDDEN", "value-of-HIDDEN"),
        (
            "SEEN",
            "opened side bug https://forge.example/a/b/pull/7 false value-of-PLAIN",
        ),
    ] {
        assert_eq!(own.variable(key), Some(value), "{key}");
    }

    let fork = |body: &mut Value| body["pull_request"]["head"]["repo"]["full_name"] = json!("eve/b");
    world.pull("github", "opened", "main", fork).await;
    world.pipelines().await;
    let theirs = world.take().await;
    assert_eq!(theirs.variable("PLAIN"), Some("value-of-PLAIN"));
    assert!(
        !theirs.payload.to_string().contains("value-of-HIDDEN"),
        "a fork's job gets a secret"
    );
    // Its token starts no pipeline with variables of its choice; that of an own job does.
    let trigger = async |job: &Job| {
        let request = world.server.raw(
            Method::POST,
            &format!("/api/v4/projects/{}/trigger/pipeline", world.project),
        );
        let form = [("token", job.token.as_str()), ("ref", "main")];
        Answer::of(request.form(&form).send().await.unwrap())
            .await
            .status
            .as_u16()
    };
    assert_eq!(trigger(&theirs).await, 404);
    assert_eq!(trigger(&own).await, 400, "no workflow is started by hand");
    let releases = async |job: &Job| {
        let path = format!("/api/v4/projects/{}/releases", world.project);
        let request = world.server.raw(Method::GET, &path).header("JOB-TOKEN", &job.token);
        Answer::of(request.send().await.unwrap()).await.status.as_u16()
    };
    assert_eq!((releases(&theirs).await, releases(&own).await), (404, 200));

    // What was merged is the base branch from then on.
    git(world.dir.path(), &["merge", "-q", "--no-ff", "-m", "Merge", "side"]);
    git(world.dir.path(), &["update-server-info"]);
    let merged = world.tip("main");
    let id = merged.clone();
    let closed = move |body: &mut Value| {
        body["pull_request"]["merged"] = json!(true);
        body["pull_request"]["merge_commit_sha"] = json!(id);
    };
    world.pull("github", "closed", "main", closed).await;
    world.pipelines().await;
    let last = world.take().await;
    assert_eq!(last.variable("GITHUB_REF"), Some("refs/heads/main"));
    assert_eq!(last.variable("GITHUB_SHA"), Some(merged.as_str()));
    assert!(
        last.variable("SEEN").unwrap().starts_with("closed side bug"),
        "{:?}",
        last.variable("SEEN")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_are_not_built_unasked() {
    let mut world = Forge::new(SHOWS, false).await;
    let fork = |body: &mut Value| body["pull_request"]["head"]["repo"] = Value::Null;
    world.pull("github", "opened", "main", fork).await;
    assert_eq!(world.jobs().await, [""; 0]);
    let path = format!("/projects/{}", world.project);
    world
        .server
        .api(Method::PATCH, &path, Some(json!({"build_forks": true})))
        .await
        .expect(200);
    world.pull("github", "opened", "main", fork).await;
    assert_eq!(world.jobs().await, ["j"]);
}
