//! A coordinator in memory.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tasuki_rt::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::serve::{Answer, serve};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    /// Handed out, not acknowledged.
    Bound,
    Running,
    Canceling,
    Canceled,
    Success,
    Failed,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Pending | Self::Bound => "pending",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) payload: Value,
    pub(crate) phase: Phase,
    pub(crate) log: Vec<u8>,
    /// Bodies of all PUTs, in order.
    pub(crate) updates: Vec<Value>,
    /// `Content-Range` of all PATCHes.
    pub(crate) ranges: Vec<String>,
    /// Queries of all PATCHes.
    pub(crate) patch_queries: Vec<String>,
    /// Query and bytes of uploaded files.
    pub(crate) artifacts: Vec<(String, String, Vec<u8>)>,
    pub(crate) final_update: Option<Value>,
}

/// What goes wrong next.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The next PATCH is answered so and not stored.
    Patch(u16, Vec<(&'static str, String)>),
    /// The next PATCH is stored, but the answer says so.
    PatchStored(u16),
    /// The next final PUT is answered so.
    Final(u16),
    /// The next acknowledgement is answered so.
    Acknowledge(u16),
    /// The next job is canceled by a user just before it is acknowledged.
    CancelAtAcknowledgement,
    /// The next request for work is answered so.
    Request(u16, Vec<(&'static str, String)>),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<i64, Job>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) requests: Vec<Value>,
    pub(crate) registered: Vec<Value>,
    pub(crate) verified: Vec<Value>,
    pub(crate) unregistered: Vec<(String, Value)>,
    /// Tokens that are refused.
    pub(crate) revoked: Vec<String>,
    pub(crate) version: u64,
    /// Answers like a tasuki server: long polls, `x-tasuki`.
    pub(crate) tasuki: bool,
    /// Silent: answers nothing at all to job calls.
    pub(crate) mute: bool,
    /// Requests for work that are held now, and the most there were at a time.
    pub(crate) held: usize,
    pub(crate) most_held: usize,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    pub(crate) changed: Arc<Notify>,
}

impl Fake {
    pub(crate) async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            addr: listener.local_addr().unwrap(),
            state: Arc::default(),
            changed: Arc::default(),
        };
        let server = fake.clone();
        serve(tasks, "fake coordinator", listener, move |request| {
            let fake = server.clone();
            async move { fake.answer(request).await }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn add(&self, id: i64, payload: Value) {
        let job = Job {
            payload,
            phase: Phase::Pending,
            log: Vec::new(),
            updates: Vec::new(),
            ranges: Vec::new(),
            patch_queries: Vec::new(),
            artifacts: Vec::new(),
            final_update: None,
        };
        let mut state = self.lock();
        state.jobs.insert(id, job);
        state.version += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    pub(crate) fn set_phase(&self, id: i64, phase: Phase) {
        self.lock().jobs.get_mut(&id).unwrap().phase = phase;
        self.changed.notify_waiters();
    }

    pub(crate) fn job(&self, id: i64) -> Job {
        self.lock().jobs[&id].clone()
    }

    /// Waits until the state satisfies `test`.
    pub(crate) async fn until(&self, what: &str, test: impl Fn(&State) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if test(&self.lock()) {
                    return;
                }
                changed.await;
            }
        });
        if waited.await.is_err() {
            let state = self.lock();
            for (id, job) in &state.jobs {
                eprintln!("job {id}: {:?}\n{}", job.phase, String::from_utf8_lossy(&job.log));
            }
            panic!("waited too long for: {what}");
        }
    }

    pub(crate) async fn until_final(&self, id: i64) -> Job {
        self.until("the job's end", |state| state.jobs[&id].final_update.is_some())
            .await;
        self.job(id)
    }

    fn next_fault(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut state = self.lock();
        let at = state.faults.iter().position(wanted)?;
        state.faults.remove(at)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(400);
        };
        let body = body.to_bytes();
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let id = header("x-request-id");
        assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id:?}");
        let path = head.uri.path().strip_prefix("/api/v4/").unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let json_body = || serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null);
        let answer = match (&head.method, parts.as_slice()) {
            (&Method::POST, ["jobs", "request"]) => self.request_job(&json_body(), &header("runner-token")).await,
            (&Method::PUT, ["jobs", id]) => self.update(id, json_body(), &header("job-token")).await,
            (&Method::PATCH, ["jobs", id, "trace"]) => {
                let number: i64 = id.parse().unwrap();
                self.lock().jobs.get_mut(&number).unwrap().patch_queries.push(query);
                self.patch(id, &header("content-range"), &header("job-token"), &body)
                    .await
            }
            (&Method::POST, ["jobs", id, "artifacts"]) => {
                self.upload(id, &query, &header("content-type"), &header("job-token"), &body)
            }
            (&Method::GET, ["jobs", id, "artifacts"]) => self.download(id, &header("job-token")),
            (&Method::POST, ["runners"]) => self.register(json_body()),
            (&Method::POST, ["runners", "verify"]) => self.verify(json_body(), &header("runner-token")),
            (&Method::POST, ["runners", "reset_authentication_token"]) => self.reset(&json_body()),
            (&Method::DELETE, path @ (["runners"] | ["runners", "managers"])) => {
                self.lock().unregistered.push((path.join("/"), json_body()));
                status(204)
            }
            _ => status(404),
        };
        self.changed.notify_waiters();
        answer
    }

    async fn request_job(&self, body: &Value, token: &str) -> Answer {
        assert_eq!(body["token"], token, "the token is sent twice");
        self.lock().requests.push(body.clone());
        if let Some(Fault::Request(code, headers)) = self.next_fault(|fault| matches!(fault, Fault::Request(..))) {
            return with(status(code), &headers);
        }
        if self.lock().revoked.iter().any(|revoked| revoked == token) {
            return refusal(403, "403 Forbidden");
        }
        {
            let mut state = self.lock();
            state.held += 1;
            state.most_held = state.most_held.max(state.held);
        }
        let answer = self.hold().await;
        self.lock().held -= 1;
        answer
    }

    /// The next job; 204 where none comes, at once to a runner of GitLab's.
    async fn hold(&self) -> Answer {
        let hold = tokio::time::Instant::now() + Duration::from_secs(5);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                let tasuki = state.tasuki;
                let version = state.version.to_string();
                let pending = state.jobs.values_mut().find(|job| job.phase == Phase::Pending);
                if let Some(job) = pending {
                    job.phase = Phase::Bound;
                    let answer = json(201, &job.payload);
                    return if tasuki {
                        with(answer, &[("x-tasuki", "1".to_owned())])
                    } else {
                        answer
                    };
                }
                if !tasuki {
                    return with(status(204), &[("x-gitlab-last-update", version)]);
                }
            }
            if tokio::time::timeout_at(hold, changed).await.is_err() {
                return with(
                    status(204),
                    &[("x-gitlab-last-update", "1".to_owned()), ("x-tasuki", "1".to_owned())],
                );
            }
        }
    }

    async fn update(&self, id: &str, body: Value, token: &str) -> Answer {
        self.silence().await;
        let id: i64 = id.parse().unwrap();
        assert_eq!(body["token"], token, "the token is sent twice");
        let acknowledges = body["state"] == "running" && self.job(id).phase == Phase::Bound;
        if acknowledges
            && let Some(Fault::Acknowledge(code)) = self.next_fault(|fault| matches!(fault, Fault::Acknowledge(_)))
        {
            self.set_phase(id, Phase::Pending);
            return status(code);
        }
        let finishes = matches!(body["state"].as_str(), Some("success" | "failed"));
        if finishes && let Some(Fault::Final(code)) = self.next_fault(|fault| matches!(fault, Fault::Final(_))) {
            if code == 412 {
                self.lock().jobs.get_mut(&id).unwrap().log.clear();
            }
            self.lock().jobs.get_mut(&id).unwrap().updates.push(body);
            return with(
                status(code),
                &[
                    ("x-gitlab-trace-update-interval", "1".to_owned()),
                    ("job-status", "running".to_owned()),
                ],
            );
        }
        let mut state = self.lock();
        let job = state.jobs.get_mut(&id).unwrap();
        if job.payload["token"] != token {
            return refusal(403, "403 Forbidden");
        }
        job.updates.push(body.clone());
        if job.phase.is_final() {
            return with(status(403), &[("job-status", job.phase.word().to_owned())]);
        }
        match body["state"].as_str() {
            Some("running") if job.phase == Phase::Bound => {
                let canceled = state
                    .faults
                    .iter()
                    .position(|f| matches!(f, Fault::CancelAtAcknowledgement));
                let job = state.jobs.get_mut(&id).unwrap();
                job.phase = if canceled.is_some() {
                    Phase::Canceling
                } else {
                    Phase::Running
                };
                if let Some(at) = canceled {
                    state.faults.remove(at);
                }
                let word = state.jobs[&id].phase.word();
                return with(status(200), &[("job-status", word.to_owned())]);
            }
            Some("running" | "pending") => {}
            Some(end @ ("success" | "failed")) => {
                let crc = format!("crc32:{:08x}", crc32fast::hash(&job.log));
                assert_eq!(body["output"]["checksum"], crc, "checksum over the log as stored");
                assert_eq!(body["output"]["bytesize"].as_u64().unwrap_or(0), job.log.len() as u64);
                job.phase = if end == "success" {
                    Phase::Success
                } else {
                    Phase::Failed
                };
                job.final_update = Some(body);
            }
            _ => return status(400),
        }
        with(status(200), &[("job-status", job.phase.word().to_owned())])
    }

    async fn patch(&self, id: &str, range: &str, token: &str, body: &[u8]) -> Answer {
        self.silence().await;
        let id: i64 = id.parse().unwrap();
        let fault = self.next_fault(|fault| matches!(fault, Fault::Patch(..) | Fault::PatchStored(_)));
        let mut state = self.lock();
        let job = state.jobs.get_mut(&id).unwrap();
        job.ranges.push(range.to_owned());
        if job.payload["token"] != token {
            return refusal(403, "403 Forbidden");
        }
        if let Some(Fault::Patch(code, headers)) = fault {
            return with(status(code), &headers);
        }
        if !matches!(job.phase, Phase::Running | Phase::Canceling) {
            return with(
                refusal(403, "not running"),
                &[("job-status", job.phase.word().to_owned())],
            );
        }
        let Some((start, end)) = range.split_once('-') else {
            return status(400);
        };
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        assert_eq!(end + 1 - start, body.len(), "the end is inclusive");
        assert!(body.len() <= 1024 * 1024);
        if start == job.log.len() {
            job.log.extend_from_slice(body);
        }
        let stored = ("range", format!("0-{}", job.log.len()));
        if job.log.len() != start + body.len() {
            return with(status(416), &[stored]);
        }
        let code = if let Some(Fault::PatchStored(code)) = fault {
            code
        } else {
            202
        };
        let job_status = ("job-status", job.phase.word().to_owned());
        with(
            status(code),
            &[stored, job_status, ("x-gitlab-trace-update-interval", "1".to_owned())],
        )
    }

    fn upload(&self, id: &str, query: &str, content_type: &str, token: &str, body: &[u8]) -> Answer {
        let mut state = self.lock();
        let job = state.jobs.get_mut(&id.parse().unwrap()).unwrap();
        if job.payload["token"] != token {
            return refusal(403, "403 Forbidden");
        }
        let (name, bytes) = multipart_file(content_type, body);
        job.artifacts.push((query.to_owned(), name, bytes));
        json(201, &json!("201"))
    }

    fn download(&self, id: &str, token: &str) -> Answer {
        let state = self.lock();
        let job = &state.jobs[&id.parse().unwrap()];
        let archive = job
            .artifacts
            .iter()
            .find(|(query, ..)| !query.contains("artifact_type=junit"));
        match archive {
            Some((_, _, bytes)) if !token.is_empty() => Response::new(Full::new(Bytes::from(bytes.clone()))),
            Some(_) => status(401),
            None => status(404),
        }
    }

    fn register(&self, body: Value) -> Answer {
        if body["token"] != "registration-token" {
            return refusal(403, "403 Forbidden");
        }
        self.lock().registered.push(body);
        json(
            201,
            &json!({"id": 11, "token": "t1_fromregistration", "token_expires_at": null}),
        )
    }

    fn verify(&self, body: Value, header: &str) -> Answer {
        assert_eq!(body["token"], header, "the token is sent twice");
        if self.lock().revoked.iter().any(|revoked| revoked == header) {
            return refusal(403, "403 Forbidden");
        }
        let answer = json!({"id": 12, "token": body["token"], "token_expires_at": "2099-01-01T00:00:00Z"});
        self.lock().verified.push(body);
        json(200, &answer)
    }

    fn reset(&self, body: &Value) -> Answer {
        assert!(body["token"].is_string());
        json(
            201,
            &json!({"token": "glrt-new", "token_expires_at": "2099-01-01T00:00:00Z"}),
        )
    }

    async fn silence(&self) {
        if self.lock().mute {
            std::future::pending::<()>().await;
        }
    }
}

fn status(code: u16) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(code.to_string())));
    *answer.status_mut() = code.try_into().unwrap();
    if code == 204 {
        *answer.body_mut() = Full::default();
    }
    answer
}

fn json(code: u16, value: &Value) -> Answer {
    let mut answer = status(code);
    answer
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    *answer.body_mut() = Full::new(Bytes::from(value.to_string()));
    answer
}

fn refusal(code: u16, message: &str) -> Answer {
    json(code, &json!({"message": message}))
}

fn with(mut answer: Answer, headers: &[(&'static str, String)]) -> Answer {
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().unwrap());
    }
    answer
}

/// File name and bytes of the part `file`.
fn multipart_file(content_type: &str, body: &[u8]) -> (String, Vec<u8>) {
    let boundary = content_type.split("boundary=").nth(1).unwrap().trim_matches('"');
    let head_end = find(body, b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&body[..head_end]).into_owned();
    assert!(head.contains("name=\"file\""), "{head}");
    let name = head
        .split("filename=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let rest = &body[head_end + 4..];
    let end = find(rest, format!("\r\n--{boundary}").as_bytes()).unwrap();
    (name, rest[..end].to_vec())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
