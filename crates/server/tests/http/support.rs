//! A server for a test, and clients that speak to it in plain JSON: a second view of the wire, not our own types.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::plan::{Language, Plan};
use tasuki_model::trigger::{Commit, GitRef, Source, Trigger};
use tasuki_pipeline::{Answers, Compile, Context, Input, compile};
use tasuki_rt::Clock;
use tasuki_server::app::{App, Running};
use tasuki_server::config::Config;
use tasuki_server::scheduler::{Content, Created, NewPipeline};
use tasuki_store::projects;

pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server on data of its own.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) client: reqwest::Client,
    _dir: tempfile::TempDir,
}

/// An answer with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        tasuki_proto::tls::install();
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::in_dir(dir.path());
        config.long_poll_s = 20;
        change(&mut config);
        let running = App::start(config).await.unwrap();
        Self::of(running, dir)
    }

    /// A server whose clock stands still until it is turned.
    pub(crate) async fn at(clock: &Clock) -> Self {
        Self::at_with(clock, |_| {}).await
    }

    pub(crate) async fn at_with(clock: &Clock, change: impl FnOnce(&mut Config)) -> Self {
        tasuki_proto::tls::install();
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::in_dir(dir.path());
        config.long_poll_s = 20;
        config.foreign_lease_s = 100_000_000;
        change(&mut config);
        let running = App::start_at(config, clock.clone()).await.unwrap();
        Self::of(running, dir)
    }

    fn of(running: Running, dir: tempfile::TempDir) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            running,
            client,
            _dir: dir,
        }
    }

    pub(crate) fn app(&self) -> &App {
        self.running.app()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// A request without any token.
    pub(crate) fn raw(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.url(path))
            .timeout(Duration::from_secs(30))
    }

    /// A request to our own API by the administrator, which is not sent yet.
    pub(crate) fn by_admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.raw(method, &format!("/api/v1{path}"))
            .bearer_auth(self.running.admin_token().expose())
    }

    /// A request to our own API by the administrator.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.by_admin(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.api(Method::GET, path, None).await.expect(200).json()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.api(Method::POST, path, Some(body)).await
    }

    /// A call of the runner protocol.
    pub(crate) async fn runner(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.raw(method, &format!("/api/v4{path}")).json(&body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A project without a repository: pipelines are made from texts.
    pub(crate) async fn project(&self, path: &str) -> ProjectId {
        let (path, now) = (path.to_owned(), self.app().now());
        let created = self.app().store().write(move |tx| {
            let new = projects::NewProject {
                path: &path,
                name: path.rsplit('/').next().unwrap_or_default(),
                kind: "git",
                url: "https://forge.example/x/y.git",
                default_branch: "main",
                settings_json: "{}",
            };
            projects::create(tx, &new, now)
        });
        created.await.unwrap()
    }

    /// A pipeline of this configuration.
    pub(crate) async fn pipeline(&self, project: ProjectId, yaml: &str) -> PipelineId {
        self.pipeline_of(project, yaml, "main").await
    }

    pub(crate) async fn pipeline_of(&self, project: ProjectId, yaml: &str, branch: &str) -> PipelineId {
        self.pipeline_with(project, yaml, branch, |_| {}).await
    }

    /// The same with a plan that is changed before it is saved.
    pub(crate) async fn pipeline_with(
        &self,
        project: ProjectId,
        yaml: &str,
        branch: &str,
        change: impl FnOnce(&mut Plan),
    ) -> PipelineId {
        let trigger = Trigger {
            source: Source::Push,
            git_ref: GitRef::Branch(branch.to_owned()),
            commit: Commit {
                sha: SHA.to_owned(),
                before_sha: "0".repeat(40),
                message: "Tie the sash\n\nWell.".to_owned(),
                author_name: "Ada".to_owned(),
                author_email: "ada@example.org".to_owned(),
                timestamp: "2026-01-02T03:04:05Z".to_owned(),
                tag_message: None,
            },
            variables: Vec::new(),
            inputs: Vec::new(),
            merge_request: None,
            user: Some(("ada".to_owned(), "Ada".to_owned(), "ada@example.org".to_owned())),
            payload: None,
            schedule_description: None,
            upstream: None,
            by_token: false,
            origin: None,
        };
        let context = Context {
            trigger: trigger.clone(),
            ..Context::default()
        };
        let input = Input {
            lang: Language::Gitlab,
            file: ".gitlab-ci.yml",
            text: yaml,
            context: &context,
        };
        let Compile::Done(output) = compile(&input, &Answers::new()) else {
            panic!("it asks for files")
        };
        let mut plan = output.plan.unwrap_or_else(|| panic!("{:?}", output.diagnostics));
        change(&mut plan);
        let new = NewPipeline {
            project,
            trigger,
            content: Content::Plan(Box::new(plan)),
            diagnostics_json: "[]".to_owned(),
            idempotency_key: None,
            protected: branch == "main",
            priority: 0,
            cancels_older: false,
        };
        match self.app().scheduler().create_pipeline(new).await.unwrap() {
            Created::New { id, .. } | Created::Existing(id) => id,
        }
    }

    /// A runner that takes everything; its token.
    pub(crate) async fn new_runner(&self, more: Value) -> String {
        let mut body = json!({"name": "test", "run_untagged": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/runners", body).await.expect(201).json()["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Asks for a job as a stock gitlab-runner does.
    pub(crate) async fn ask(&self, token: &str) -> Answer {
        self.runner(Method::POST, "/jobs/request", request(token)).await
    }

    /// Gets a job and acknowledges it; its id and token.
    pub(crate) async fn take(&self, token: &str) -> Job {
        self.taken(request(token)).await
    }

    /// The same as a runner of tasuki, which gets jobs that GitLab's protocol has no words for.
    pub(crate) async fn take_as_ours(&self, token: &str) -> Job {
        let mut asked = request(token);
        asked["info"]["features"]["tasuki"] = json!(true);
        self.taken(asked).await
    }

    async fn taken(&self, request: Value) -> Job {
        let job = self.runner(Method::POST, "/jobs/request", request).await;
        let job = job.expect(201).json();
        let job = Job {
            id: job["id"].as_i64().unwrap(),
            token: text(&job["token"]),
            payload: job,
        };
        self.state(&job, json!({"state": "running"})).await.expect(200);
        job
    }

    /// `PUT /jobs/:id`.
    pub(crate) async fn state(&self, job: &Job, mut body: Value) -> Answer {
        body["token"] = json!(job.token);
        self.runner(Method::PUT, &format!("/jobs/{}", job.id), body).await
    }

    /// `PATCH /jobs/:id/trace`.
    pub(crate) async fn trace(&self, job: &Job, start: usize, text: &str) -> Answer {
        let range = format!("{start}-{}", (start + text.len()).saturating_sub(1));
        let request = self
            .raw(Method::PATCH, &format!("/api/v4/jobs/{}/trace", job.id))
            .header("JOB-TOKEN", &job.token)
            .header("Content-Range", range)
            .header("Content-Type", "text/plain")
            .body(text.to_owned());
        Answer::of(request.send().await.unwrap()).await
    }

    /// Uploads a file as the helper binary does.
    pub(crate) async fn upload(&self, job: &Job, query: &str, filename: &str, content: &[u8]) -> Answer {
        let boundary = "bOuNdArY";
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let request = self
            .raw(Method::POST, &format!("/api/v4/jobs/{}/artifacts?{query}", job.id))
            .header("JOB-TOKEN", &job.token)
            .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
            .body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// The status of the only job of that name in a pipeline.
    pub(crate) async fn job_status(&self, pipeline: PipelineId, name: &str) -> String {
        text(&self.job(pipeline, name).await["status"])
    }

    pub(crate) async fn job(&self, pipeline: PipelineId, name: &str) -> Value {
        let jobs = self.get(&format!("/pipelines/{pipeline}/jobs")).await;
        let jobs = jobs["items"].as_array().unwrap().clone();
        jobs.into_iter()
            .find(|job| job["name"] == name)
            .unwrap_or_else(|| panic!("no job {name}"))
    }
}

/// A job in the hands of a runner.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) token: String,
    pub(crate) payload: Value,
}

impl Job {
    /// The value of a variable: of one name the last counts.
    pub(crate) fn variable(&self, key: &str) -> Option<&str> {
        let all = self.payload["variables"].as_array().unwrap();
        all.iter()
            .rev()
            .find(|v| v["key"] == key)
            .and_then(|v| v["value"].as_str())
    }
}

/// What gitlab-runner with the shell executor announces.
const FEATURES: [&str; 19] = [
    "variables",
    "shared",
    "artifacts",
    "cache",
    "fallback_cache_keys",
    "upload_multiple_artifacts",
    "upload_raw_artifacts",
    "refspecs",
    "masking",
    "raw_variables",
    "artifacts_exclude",
    "multi_build_steps",
    "vault_secrets",
    "return_exit_code",
    "trace_checksum",
    "trace_size",
    "cancelable",
    "cancel_gracefully",
    "two_phase_job_commit",
];

/// The body of a stock gitlab-runner's request for a job.
pub(crate) fn request(token: &str) -> Value {
    let features: serde_json::Map<String, Value> =
        FEATURES.iter().map(|name| ((*name).to_owned(), json!(true))).collect();
    json!({
        "token": token,
        "system_id": "s_0123456789ab",
        "info": {
            "name": "gitlab-runner", "version": "18.4.0", "revision": "abc", "platform": "linux", "architecture": "amd64",
            "executor": "shell", "shell": "bash", "config": {"gpus": ""},
            "features": features
        }
    })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
