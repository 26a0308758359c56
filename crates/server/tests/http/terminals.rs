//! Terminals in running jobs: who gets one, who fetches it, and who does not.

use bytes::Bytes;
use reqwest::{Method, Response, Upgraded};
use serde_json::{Value, json};
use tasuki_model::id::PipelineId;
use tasuki_proto::terminal::{Frame, Receiver, Sender, Start};

use crate::support::{Answer, Job, Server, request, text};

const TWO: &str = "a:\n  script: a\nb:\n  script: b\n";

/// Both jobs of [`TWO`] in the hands of a runner; the first is `a`.
async fn two_jobs(server: &Server, terminals: bool) -> (PipelineId, Job, Job) {
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, TWO).await;
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let mut body = request(&runner);
        if terminals {
            body["info"]["features"]["tasuki_terminal"] = json!(true);
        }
        let payload = server.runner(Method::POST, "/jobs/request", body).await.expect(201);
        let payload = payload.json();
        let job = Job {
            id: payload["id"].as_i64().unwrap(),
            token: text(&payload["token"]),
            payload,
        };
        beat(server, &job).await;
        jobs.push(job);
    }
    jobs.sort_by_key(|job| text(&job.payload["job_info"]["name"]));
    let second = jobs.pop().unwrap();
    (pipeline, jobs.pop().unwrap(), second)
}

/// A sign of life; the id of the terminal that its answer tells of.
async fn beat(server: &Server, job: &Job) -> String {
    let answer = server.state(job, json!({"state": "running"})).await.expect(200);
    answer.header("x-tasuki-terminal").to_owned()
}

/// Signs of life until one tells of a terminal.
async fn told(server: &Server, job: &Job) -> String {
    loop {
        let id = beat(server, job).await;
        if !id.is_empty() {
            return id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn upgrading(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request
        .header("Connection", "Upgrade")
        .header("Upgrade", "tasuki-terminal")
}

async fn ask(server: &Server, job: &Value, token: &str) -> Response {
    let path = format!("/api/v1/jobs/{job}/shell");
    let request = upgrading(server.raw(Method::GET, &path)).bearer_auth(token);
    request.send().await.unwrap()
}

async fn fetch(server: &Server, id: &str, token: &str) -> Response {
    let path = format!("/api/v4/tasuki/terminals/{id}");
    let request = upgrading(server.raw(Method::GET, &path)).header("JOB-TOKEN", token);
    request.send().await.unwrap()
}

async fn job_id(server: &Server, pipeline: PipelineId, name: &str) -> Value {
    server.job(pipeline, name).await["id"].clone()
}

/// Opens a terminal in a job: the ends of the person and of the runner.
async fn open(server: &Server, job: &Value, task: &Job) -> (Upgraded, Upgraded) {
    let admin = server.running.admin_token().expose();
    let (person, runner) = tokio::join!(ask(server, job, admin), async {
        let id = told(server, task).await;
        fetch(server, &id, &task.token).await
    });
    assert_eq!((person.status().as_u16(), runner.status().as_u16()), (101, 101));
    (person.upgrade().await.unwrap(), runner.upgrade().await.unwrap())
}

#[tokio::test]
async fn only_the_job_itself_fetches_its_terminal_and_only_once() {
    let server = Server::start().await;
    let (pipeline, mine, other) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let admin = server.running.admin_token().expose();
    let attack = async {
        let id = told(&server, &mine).await;
        assert_eq!(beat(&server, &other).await, "", "nobody else is told");
        let traced = server.trace(&mine, 0, "hello\n").await.expect(202);
        assert_eq!(traced.header("x-tasuki-terminal"), id, "either call tells it");
        let refused = async |id: &str, token: &str, status: u16| {
            let answer = Answer::of(fetch(&server, id, token).await).await.expect(status);
            assert!(answer.json()["message"].is_string(), "{answer:?}");
        };
        refused(&id, &other.token, 404).await;
        refused(&id, "glcbt-wrong", 403).await;
        refused(&id, admin, 403).await;
        refused("another", &mine.token, 404).await;
        let plain = server
            .raw(Method::GET, &format!("/api/v4/tasuki/terminals/{id}"))
            .header("JOB-TOKEN", &mine.token);
        Answer::of(plain.send().await.unwrap()).await.expect(426);
        assert_eq!(beat(&server, &mine).await, id, "none of this has used it up");
        let fetched = fetch(&server, &id, &mine.token).await;
        assert_eq!(fetched.status().as_u16(), 101);
        refused(&id, &mine.token, 404).await;
        assert_eq!(beat(&server, &mine).await, "");
        fetched
    };
    let (person, runner) = tokio::join!(ask(&server, &job, admin), attack);
    assert_eq!(person.status().as_u16(), 101);
    let (person, runner) = (person.upgrade().await.unwrap(), runner.upgrade().await.unwrap());
    let second = Answer::of(ask(&server, &job, admin).await).await.expect(409);
    assert!(second.text.contains("open there already"), "{second:?}");

    let (from_person, to_runner) = tokio::io::split(person);
    let (from_runner, to_person) = tokio::io::split(runner);
    let (mut hears_runner, mut types) = (Receiver::new(from_person), Sender::new(to_runner));
    let (mut hears_person, mut prints) = (Receiver::new(from_runner), Sender::new(to_person));
    let (start, printed) = (Frame::Start(Start::default()), Frame::Data(Bytes::from_static(b"$ ")));
    types.send(&start).await.unwrap();
    assert_eq!(hears_person.next().await.unwrap(), Some(start));
    prints.send(&printed).await.unwrap();
    assert_eq!(hears_runner.next().await.unwrap(), Some(printed));
    prints.finish(&Frame::Exit(7)).await.unwrap();
    assert_eq!(hears_runner.next().await.unwrap(), Some(Frame::Exit(7)));
    assert_eq!(hears_runner.next().await.unwrap(), None);

    // The place is free again.
    drop(open(&server, &job, &mine).await);
}

#[tokio::test]
async fn a_terminal_ends_with_its_job() {
    let server = Server::start().await;
    let (pipeline, mine, _) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let (person, _runner) = open(&server, &job, &mine).await;
    server.state(&mine, json!({"state": "success"})).await.expect(200);
    // The runner says nothing: the server does.
    let told = Receiver::new(person).next().await.unwrap();
    assert_eq!(told, Some(Frame::Closed("the job has ended".to_owned())));
}

#[tokio::test]
async fn a_runner_that_is_gone_is_told_of() {
    let server = Server::start().await;
    let (pipeline, mine, _) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let (person, runner) = open(&server, &job, &mine).await;
    drop(runner);
    let told = Receiver::new(person).next().await.unwrap();
    assert_eq!(
        told,
        Some(Frame::Closed("the connection to the runner broke".to_owned()))
    );
}

#[tokio::test]
async fn where_there_is_no_terminal_it_says_why() {
    let server = Server::start().await;
    let admin = server.running.admin_token().expose();
    let check = async |job: &Value, token: &str, status: u16, why: &str| {
        let answer = Answer::of(ask(&server, job, token).await).await.expect(status);
        assert!(answer.text.contains(why), "{answer:?}");
    };
    let (pipeline, stock, _) = two_jobs(&server, false).await;
    let job = job_id(&server, pipeline, "a").await;
    check(
        &job,
        admin,
        409,
        "(gitlab-runner 18.4.0, executor shell) offers no terminals",
    )
    .await;
    check(&job, "tsk-wrong", 401, "unknown").await;
    check(&job, &stock.token, 401, "unknown").await;
    let reader = server
        .post("/tokens", json!({"name": "r", "scope": "read"}))
        .await
        .expect(201);
    check(&job, &text(&reader.json()["secret"]), 403, "needs write access").await;
    check(&json!(999), admin, 404, "job 999").await;
    server.state(&stock, json!({"state": "success"})).await.expect(200);
    check(&job, admin, 409, "(a) is success: a terminal needs a running job").await;
    let project = server.project("group/other").await;
    let waiting = server.pipeline(project, TWO).await;
    let job = job_id(&server, waiting, "b").await;
    check(&job, admin, 409, "(b) is pending").await;
    let plain = server
        .api(Method::GET, &format!("/jobs/{job}/shell"), None)
        .await
        .expect(426);
    assert!(plain.text.contains("a proxy in between"), "{plain:?}");
}

#[tokio::test]
async fn a_runner_that_does_not_come_is_not_waited_for() {
    let server = Server::with(|config| config.terminal_wait_s = 1).await;
    let admin = server.running.admin_token().expose();
    let (pipeline, mine, _) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let late = Answer::of(ask(&server, &job, admin).await).await.expect(504);
    assert_eq!(late.json()["code"], "runner_silent");
    assert!(late.text.contains("within 1 s"), "{late:?}");
    assert_eq!(beat(&server, &mine).await, "", "nobody wants it any more");
}

#[tokio::test]
async fn a_job_that_ends_meanwhile_is_told_of() {
    let server = Server::start().await;
    let admin = server.running.admin_token().expose();
    let (pipeline, mine, _) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let (person, ()) = tokio::join!(ask(&server, &job, admin), async {
        told(&server, &mine).await;
        server.state(&mine, json!({"state": "success"})).await.expect(200);
    });
    let answer = Answer::of(person).await.expect(409);
    assert!(answer.text.contains("ended before its runner"), "{answer:?}");
}

#[tokio::test]
async fn terminals_can_be_switched_off() {
    let server = Server::with(|config| config.terminal_wait_s = 0).await;
    let admin = server.running.admin_token().expose();
    let (pipeline, _, _) = two_jobs(&server, true).await;
    let job = job_id(&server, pipeline, "a").await;
    let answer = Answer::of(ask(&server, &job, admin).await).await.expect(403);
    assert!(answer.text.contains("switched off"), "{answer:?}");
}
