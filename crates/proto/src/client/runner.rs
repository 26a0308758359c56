//! The runner's side of GitLab's runner protocol.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tasuki_model::secret::Secret;
use url::Url;

use super::error::CallError;
use super::job::{PatchAnswer, UpdateAnswer};
use super::observe::{Call, Observer, Silent};
use super::retry::RetryPolicy;
use super::transport::{Transport, TransportConfig, TransportError, api_base};
use crate::gitlab::{
    ContentRange, ErrorBody, JobRequest, JobResponse, RegisterRequest, Registered, ResetRequest, TokenReset,
    UnregisterRequest, UpdateJob, VerifyRequest, headers,
};
use crate::terminal::UPGRADE;

/// Speaks to one server for one registration; remembers the state of its queue. Cheap to share behind an `Arc`.
pub struct RunnerClient {
    base: Url,
    transport: Transport,
    retry: RetryPolicy,
    observer: Arc<dyn Observer>,
    last_update: Mutex<String>,
}

/// Answer of a request for work.
#[derive(Debug)]
pub struct Requested {
    pub polled: Polled,
    /// A try was repeated: the runner asks with less concurrency from now on.
    pub retried: bool,
    /// The server is a tasuki server: long polls may follow back to back.
    pub tasuki: bool,
}

/// What a request for work gave.
#[derive(Debug)]
pub enum Polled {
    Job(Box<JobResponse>),
    /// 204.
    Nothing,
    /// 409: somebody else was faster; healthy, ask again at the next turn.
    Conflict,
}

/// Answer of verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Runner(Registered),
    /// An older server only says that the token is good.
    Valid,
}

struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    retried: bool,
    /// The server's, else ours.
    request_id: String,
}

struct Request<'a> {
    endpoint: &'static str,
    method: Method,
    path: &'a str,
    query: &'a [(&'static str, &'static str)],
    headers: &'a [(&'static str, &'a str)],
    body: Bytes,
    content_type: Option<&'static str>,
    /// Whether a JSON answer is expected at all.
    accept_json: bool,
}

/// Time until the head of the answer must be there; a held long poll stays below it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The same of a terminal: somebody waits for it.
const TERMINAL_TIMEOUT: Duration = Duration::from_secs(20);

impl RunnerClient {
    /// A client of the server at `url` (as configured, without `/api/v4`).
    ///
    /// # Errors
    /// When `url` is not an http(s) address.
    pub fn new(url: &str, config: TransportConfig) -> Result<Self, TransportError> {
        let base = api_base(url)?;
        let transport = Transport::new(&base, config);
        Ok(Self {
            base,
            transport,
            retry: RetryPolicy::default(),
            observer: Arc::new(Silent),
            last_update: Mutex::new(String::new()),
        })
    }

    /// The same client with other pauses between retries.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The same client, observed.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Base address of the API, ends in `/api/v4/`.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The transport below, for its TLS files.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// `POST runners`: makes a runner with a registration token.
    ///
    /// # Errors
    /// 400 (refused fields), 403 (bad token), 410 (registration is switched off), or no answer.
    pub async fn register(&self, request: &RegisterRequest) -> Result<Registered, CallError> {
        let raw = self
            .json(
                "register",
                Method::POST,
                "runners",
                request,
                Some((headers::RUNNER_TOKEN, &request.token)),
                true,
            )
            .await?;
        decode(expect(raw, 201)?)
    }

    /// `POST runners/verify`. Only a 403 means that the runner is gone.
    ///
    /// # Errors
    /// Any other status than 200, or no answer.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<Verified, CallError> {
        let raw = self
            .json(
                "verify",
                Method::POST,
                "runners/verify",
                request,
                Some((headers::RUNNER_TOKEN, &request.token)),
                true,
            )
            .await?;
        let raw = expect(raw, 200)?;
        if is_json(&raw.headers) {
            decode(raw).map(Verified::Runner)
        } else {
            Ok(Verified::Valid)
        }
    }

    /// `DELETE runners`: removes the runner.
    ///
    /// # Errors
    /// Any other status than 204, or no answer.
    pub async fn unregister(&self, token: &Secret) -> Result<(), CallError> {
        let request = UnregisterRequest {
            token: token.clone(),
            system_id: String::new(),
        };
        let raw = self
            .json(
                "unregister",
                Method::DELETE,
                "runners",
                &request,
                Some((headers::RUNNER_TOKEN, token)),
                false,
            )
            .await?;
        expect(raw, 204).map(drop)
    }

    /// `DELETE runners/managers`: removes this process from a runner that was made in the UI.
    ///
    /// # Errors
    /// Any other status than 204, or no answer.
    pub async fn unregister_manager(&self, token: &Secret, system_id: &str) -> Result<(), CallError> {
        let request = UnregisterRequest {
            token: token.clone(),
            system_id: system_id.to_owned(),
        };
        let raw = self
            .json(
                "unregister_manager",
                Method::DELETE,
                "runners/managers",
                &request,
                Some((headers::RUNNER_TOKEN, token)),
                false,
            )
            .await?;
        expect(raw, 204).map(drop)
    }

    /// `POST runners/reset_authentication_token`: a new token for the old one.
    ///
    /// # Errors
    /// Any other status than 201, or no answer.
    pub async fn reset_token(&self, token: &Secret) -> Result<TokenReset, CallError> {
        let request = ResetRequest { token: token.clone() };
        let raw = self
            .json(
                "reset_token",
                Method::POST,
                "runners/reset_authentication_token",
                &request,
                None,
                true,
            )
            .await?;
        decode(expect(raw, 201)?)
    }

    /// `POST runners/:id/reset_authentication_token` with a personal access token.
    ///
    /// # Errors
    /// Any other status than 201, or no answer.
    pub async fn reset_token_by_id(&self, runner: i64, personal_token: &Secret) -> Result<TokenReset, CallError> {
        let path = format!("runners/{runner}/reset_authentication_token");
        let raw = self
            .send(&Request {
                endpoint: "reset_token",
                method: Method::POST,
                path: &path,
                query: &[],
                headers: &[(headers::PRIVATE_TOKEN, personal_token.expose())],
                body: Bytes::new(),
                content_type: None,
                accept_json: true,
            })
            .await?;
        decode(expect(raw, 201)?)
    }

    /// `POST jobs/request`. Fills in `last_update` and remembers the server's.
    ///
    /// # Errors
    /// 403 (token refused: unhealthy), any other unexpected status, an answer that cannot be decoded, or no answer.
    pub async fn request_job(&self, request: &JobRequest) -> Result<Requested, CallError> {
        let known = self.last_update.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = JobRequest {
            last_update: known,
            ..request.clone()
        };
        let token = request.token.clone();
        let raw = self
            .json(
                "request_job",
                Method::POST,
                "jobs/request",
                &request,
                Some((headers::RUNNER_TOKEN, &token)),
                true,
            )
            .await?;
        if let Some(update) = raw
            .headers
            .get(headers::LAST_UPDATE)
            .and_then(|value| value.to_str().ok())
            && !update.is_empty()
        {
            update.clone_into(&mut self.last_update.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let retried = raw.retried;
        let tasuki = raw.headers.contains_key(headers::TASUKI);
        let polled = match raw.status {
            204 => Polled::Nothing,
            409 => Polled::Conflict,
            _ => Polled::Job(Box::new(decode(expect(raw, 201)?)?)),
        };
        Ok(Requested {
            polled,
            retried,
            tasuki,
        })
    }

    /// `PUT jobs/:id`. Every status is an answer.
    ///
    /// # Errors
    /// Only when there is no answer.
    pub async fn update_job(&self, job: i64, update: &UpdateJob) -> Result<UpdateAnswer, CallError> {
        let path = format!("jobs/{job}");
        let raw = self
            .json(
                "update_job",
                Method::PUT,
                &path,
                update,
                Some((headers::JOB_TOKEN, &update.token)),
                false,
            )
            .await?;
        Ok(UpdateAnswer::read(raw.status, &raw.headers))
    }

    /// `PATCH jobs/:id/trace`: `bytes` (not empty, at most 1 MiB) at `offset`. Every status is an answer.
    ///
    /// # Errors
    /// Only when there is no answer.
    pub async fn patch_trace(
        &self,
        job: i64,
        token: &Secret,
        offset: u64,
        bytes: Bytes,
        debug_trace: DebugTrace,
    ) -> Result<PatchAnswer, CallError> {
        let path = format!("jobs/{job}/trace");
        let range = ContentRange {
            start: offset,
            end_inclusive: offset + (bytes.len() as u64).saturating_sub(1),
        };
        let debug = match debug_trace {
            DebugTrace::Off => "false",
            DebugTrace::On => "true",
        };
        let raw = self
            .send(&Request {
                endpoint: "patch_trace",
                method: Method::PATCH,
                path: &path,
                query: &[("debug_trace", debug)],
                headers: &[
                    (headers::JOB_TOKEN, token.expose()),
                    ("content-range", &range.to_string()),
                ],
                body: bytes,
                content_type: Some("text/plain"),
                accept_json: false,
            })
            .await?;
        Ok(PatchAnswer::read(raw.status, &raw.headers))
    }

    /// `GET tasuki/terminals/:id`: fetches a terminal that [`headers::TERMINAL`] told of. Frames follow on the connection.
    ///
    /// # Errors
    /// 403 or 404 (it is not wanted any more), any other status than 101, or no answer.
    pub async fn terminal(&self, token: &Secret, id: &Secret) -> Result<reqwest::Upgraded, CallError> {
        let client = self.transport.client().map_err(CallError::Client)?;
        let path = format!("tasuki/terminals/{}", id.expose());
        // The id comes from the server: it must not lead elsewhere.
        let url = self.base.join(&path).ok().filter(|_| is_word(id.expose()));
        let url = url.ok_or(CallError::Client(TransportError::Url {
            url: "the terminal's".to_owned(),
        }))?;
        let own_id = request_id();
        let sent = client
            .get(url)
            .header(headers::REQUEST_ID, &own_id)
            .header(headers::JOB_TOKEN, token.expose())
            .header(http::header::CONNECTION, "upgrade")
            .header(http::header::UPGRADE, UPGRADE)
            .send();
        let network = |error: reqwest::Error| CallError::Network(error.without_url());
        let response = tokio::time::timeout(TERMINAL_TIMEOUT, sent)
            .await
            .map_err(|_| CallError::Timeout(TERMINAL_TIMEOUT))?
            .map_err(network)?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return response.upgrade().await.map_err(network);
        }
        let raw = whole(response, &own_id).await?;
        Err(CallError::Status {
            status: raw.status,
            message: error_text(&raw),
            request_id: raw.request_id,
        })
    }

    async fn json<B: Serialize + Sync>(
        &self,
        endpoint: &'static str,
        method: Method,
        path: &str,
        body: &B,
        token: Option<(&'static str, &Secret)>,
        accept_json: bool,
    ) -> Result<Raw, CallError> {
        let body = Bytes::from(serde_json::to_vec(body).map_err(CallError::Encode)?);
        let token: Vec<_> = token.iter().map(|(name, secret)| (*name, secret.expose())).collect();
        self.send(&Request {
            endpoint,
            method,
            path,
            query: &[],
            headers: &token,
            body,
            content_type: Some("application/json"),
            accept_json,
        })
        .await
    }

    async fn send(&self, request: &Request<'_>) -> Result<Raw, CallError> {
        let began = Instant::now();
        let result = self.send_with_retries(request).await;
        self.observer.call(&Call {
            endpoint: request.endpoint,
            method: method_name(&request.method),
            status: match &result {
                Ok(raw) => i32::from(raw.status),
                Err(error) => error.class(),
            },
            took: began.elapsed(),
        });
        result
    }

    async fn send_with_retries(&self, request: &Request<'_>) -> Result<Raw, CallError> {
        let mut tries = 1;
        loop {
            let mut raw = self.send_once(request).await?;
            raw.retried = tries > 1;
            if !RetryPolicy::retries(raw.status) || tries >= self.retry.attempts {
                return Ok(raw);
            }
            self.observer.retry(request.endpoint, method_name(&request.method));
            tokio::time::sleep(self.retry.pause(&raw.headers, tries)).await;
            tries += 1;
        }
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Raw, CallError> {
        let client = self.transport.client().map_err(CallError::Client)?;
        let mut url = self.base.join(request.path).map_err(|_| {
            CallError::Client(TransportError::Url {
                url: request.path.to_owned(),
            })
        })?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let own_id = request_id();
        let mut builder = client
            .request(request.method.clone(), url)
            .header(headers::REQUEST_ID, &own_id)
            .body(request.body.clone());
        if let Some(content_type) = request.content_type {
            builder = builder.header(http::header::CONTENT_TYPE, content_type);
        }
        if request.accept_json {
            builder = builder.header(http::header::ACCEPT, "application/json");
        }
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        let response = tokio::time::timeout(HEADER_TIMEOUT, builder.send())
            .await
            .map_err(|_| CallError::Timeout(HEADER_TIMEOUT))?
            .map_err(|error| CallError::Network(error.without_url()))?;
        whole(response, &own_id).await
    }
}

/// The answer to the request that we gave this id.
async fn whole(response: reqwest::Response, own_id: &str) -> Result<Raw, CallError> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let echoed = headers.get(headers::REQUEST_ID).and_then(|value| value.to_str().ok());
    let request_id = echoed.filter(|id| !id.is_empty()).unwrap_or(own_id).to_owned();
    let body = response
        .bytes()
        .await
        .map_err(|error| CallError::Network(error.without_url()))?;
    Ok(Raw {
        status,
        headers,
        body,
        retried: false,
        request_id,
    })
}

/// Whether the log holds what debugging prints: the server then shows it to fewer people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DebugTrace {
    #[default]
    Off,
    On,
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "POST",
    }
}

fn expect(raw: Raw, status: u16) -> Result<Raw, CallError> {
    if raw.status == status {
        return Ok(raw);
    }
    let message = match raw
        .headers
        .get(http::header::LOCATION)
        .and_then(|value| value.to_str().ok())
    {
        Some(place) if (300..400).contains(&raw.status) => format!("it points to {place}; put that address into `url`"),
        _ => error_text(&raw),
    };
    Err(CallError::Status {
        status: raw.status,
        message,
        request_id: raw.request_id,
    })
}

fn error_text(raw: &Raw) -> String {
    if let Ok(body) = serde_json::from_slice::<ErrorBody>(&raw.body) {
        return body.flat();
    }
    let media_type = raw
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if media_type.is_some_and(|kind| kind.starts_with("application/xml")) {
        let text = String::from_utf8_lossy(&raw.body);
        let tag = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>"))
                .map(|(inner, _)| inner.to_owned())
        };
        return [tag("Code"), tag("Message")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ");
    }
    String::new()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    media_type
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn decode<T: DeserializeOwned>(raw: Raw) -> Result<T, CallError> {
    if !is_json(&raw.headers) {
        let found = raw
            .headers
            .get(http::header::CONTENT_TYPE)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Err(CallError::MediaType {
            found: found.unwrap_or_default(),
        });
    }
    serde_json::from_slice(&raw.body).map_err(CallError::Decode)
}

/// Letters, digits, `-` and `_`: as the server makes its ids.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A value for `X-Request-Id`: 32 hexadecimal digits, fresh for each try.
#[must_use]
pub fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness the id is zero: it only ties log lines together.
    let _ = getrandom::fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}
