//! Client of our own REST API, for the commands.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tasuki_model::secret::Secret;
use url::Url;

use super::transport::{Transport, TransportConfig, TransportError};
use crate::rest;

/// A call of the REST API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server refused, and says why.
    #[error("{0}")]
    Problem(Box<rest::Problem>),
    /// The server answered something that is not ours.
    #[error("the server answered {status}: is this a tasuki server?")]
    Status { status: u16 },
    #[error("the server at {url} cannot be reached")]
    Network {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the answer cannot be decoded")]
    Decode(#[source] serde_json::Error),
    #[error("no client could be made")]
    Client(#[source] TransportError),
}

impl ApiError {
    /// Status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Status { status } => Some(*status),
            Self::Network { .. } | Self::Decode(_) | Self::Client(_) => None,
        }
    }
}

/// A client with one server and one token.
pub struct ApiClient {
    base: Url,
    token: Option<Secret>,
    transport: Transport,
}

type Result<T> = std::result::Result<T, ApiError>;

impl ApiClient {
    /// A client of the server at `url`, with a token where one is needed.
    ///
    /// # Errors
    /// When `url` is not an http(s) address.
    pub fn new(url: &str, token: Option<Secret>, config: TransportConfig) -> Result<Self> {
        let bad = || ApiError::Client(TransportError::Url { url: url.to_owned() });
        let base = Url::parse(&format!("{}/api/v1/", url.trim().trim_end_matches('/'))).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad());
        }
        let transport = Transport::new(&base, config);
        Ok(Self { base, token, transport })
    }

    /// Base address, ends in `/api/v1/`.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// # Errors
    /// See [`ApiError`]; so with every call below.
    pub async fn version(&self) -> Result<rest::Version> {
        self.get("version").await
    }

    pub async fn projects(&self) -> Result<Vec<rest::Project>> {
        self.all("projects").await
    }

    pub async fn project(&self, id: &str) -> Result<rest::Project> {
        self.get(&format!("projects/{}", segment(id))).await
    }

    pub async fn create_project(&self, project: &rest::NewProject) -> Result<rest::Project> {
        self.call(Method::POST, "projects", Some(project)).await
    }

    pub async fn delete_project(&self, id: &str) -> Result<()> {
        self.done(Method::DELETE, &format!("projects/{}", segment(id)), None::<&()>)
            .await
    }

    pub async fn project_variables(&self, id: &str) -> Result<Vec<rest::ProjectVariable>> {
        self.all(&format!("projects/{}/variables", segment(id))).await
    }

    pub async fn set_project_variable(
        &self,
        id: &str,
        variable: &rest::ProjectVariable,
    ) -> Result<rest::ProjectVariable> {
        let path = format!("projects/{}/variables/{}", segment(id), segment(&variable.key));
        self.call(Method::PUT, &path, Some(variable)).await
    }

    pub async fn delete_project_variable(&self, id: &str, key: &str, environment: &str) -> Result<()> {
        let path = format!(
            "projects/{}/variables/{}?environment_scope={}",
            segment(id),
            segment(key),
            segment(environment)
        );
        self.done(Method::DELETE, &path, None::<&()>).await
    }

    pub async fn run_pipeline(&self, project: &str, pipeline: &rest::NewPipeline) -> Result<rest::Pipeline> {
        self.call(
            Method::POST,
            &format!("projects/{}/pipelines", segment(project)),
            Some(pipeline),
        )
        .await
    }

    /// What would come of a pipeline: the Plan of each configuration.
    pub async fn compile(&self, project: &str, request: &rest::CompileRequest) -> Result<rest::Page<rest::Compiled>> {
        let path = format!("projects/{}/compile", segment(project));
        self.call(Method::POST, &path, Some(request)).await
    }

    /// What a project's configurations ask of whoever runs a pipeline by hand; without a ref at the default branch.
    pub async fn forms(&self, project: &str, git_ref: Option<&str>) -> Result<rest::Page<rest::Form>> {
        let query = git_ref
            .map(|name| format!("?ref={}", segment(name)))
            .unwrap_or_default();
        self.get(&format!("projects/{}/forms{query}", segment(project))).await
    }

    /// The newest pipelines, of one project or of all.
    pub async fn pipelines(&self, project: Option<&str>, limit: u32) -> Result<rest::Page<rest::Pipeline>> {
        let path = match project {
            Some(project) => format!("projects/{}/pipelines?limit={limit}", segment(project)),
            None => format!("pipelines?limit={limit}"),
        };
        self.get(&path).await
    }

    pub async fn pipeline(&self, id: i64) -> Result<rest::PipelineDetail> {
        self.get(&format!("pipelines/{id}")).await
    }

    pub async fn cancel_pipeline(&self, id: i64) -> Result<rest::Pipeline> {
        self.call(Method::POST, &format!("pipelines/{id}/cancel"), None::<&()>)
            .await
    }

    pub async fn retry_pipeline(&self, id: i64) -> Result<rest::Pipeline> {
        self.call(Method::POST, &format!("pipelines/{id}/retry"), None::<&()>)
            .await
    }

    pub async fn job(&self, id: i64) -> Result<rest::Job> {
        self.get(&format!("jobs/{id}")).await
    }

    pub async fn play_job(&self, id: i64, play: &rest::Play) -> Result<rest::Job> {
        self.call(Method::POST, &format!("jobs/{id}/play"), Some(play)).await
    }

    pub async fn cancel_job(&self, id: i64) -> Result<rest::Job> {
        self.call(Method::POST, &format!("jobs/{id}/cancel"), None::<&()>).await
    }

    pub async fn retry_job(&self, id: i64) -> Result<rest::Job> {
        self.call(Method::POST, &format!("jobs/{id}/retry"), None::<&()>).await
    }

    /// A terminal in a running job (in one of its parallel parts, from 0): resolves when its runner has come to it.
    /// Frames follow on the connection.
    pub async fn shell(&self, job: i64, part: Option<u32>) -> Result<reqwest::Upgraded> {
        let part = part.map(|part| format!("?part={part}")).unwrap_or_default();
        let request = self
            .request(Method::GET, &format!("jobs/{job}/shell{part}"))?
            .header(http::header::CONNECTION, "upgrade")
            .header(http::header::UPGRADE, crate::terminal::UPGRADE);
        let response = request.send().await.map_err(|source| self.network(source))?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return response.upgrade().await.map_err(|source| self.network(source));
        }
        Err(refusal(response).await)
    }

    /// The log of a task from `offset` on, as stored.
    pub async fn log(&self, task: i64, offset: u64) -> Result<Bytes> {
        let response = self
            .send(Method::GET, &format!("tasks/{task}/log?offset={offset}"), None::<&()>)
            .await?;
        response.bytes().await.map_err(|source| self.network(source))
    }

    /// Server-sent events below `path` as raw bytes, e.g. `tasks/7/log/events?offset=0`; ends with the connection.
    pub async fn events(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + Unpin + use<>> {
        let base = self.base.to_string();
        let response = self.send(Method::GET, path, None::<&()>).await?;
        let stream = response.bytes_stream().map(move |chunk| {
            chunk.map_err(|source| ApiError::Network {
                url: base.clone(),
                source: source.without_url(),
            })
        });
        Ok(Box::pin(stream))
    }

    /// The bytes of an artifact (`artifacts/7/download`), streamed.
    pub async fn download(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes>> + Send + Unpin + use<>> {
        self.events(path).await
    }

    pub async fn runners(&self) -> Result<Vec<rest::Runner>> {
        self.all("runners").await
    }

    pub async fn create_runner(&self, runner: &rest::NewRunner) -> Result<rest::CreatedRunner> {
        self.call(Method::POST, "runners", Some(runner)).await
    }

    pub async fn delete_runner(&self, id: i64) -> Result<()> {
        self.done(Method::DELETE, &format!("runners/{id}"), None::<&()>).await
    }

    pub async fn resource_classes(&self) -> Result<Vec<rest::ResourceClass>> {
        self.all("resource_classes").await
    }

    pub async fn create_resource_class(&self, class: &rest::NewResourceClass) -> Result<rest::CreatedResourceClass> {
        self.call(Method::POST, "resource_classes", Some(class)).await
    }

    pub async fn delete_resource_class(&self, name: &str) -> Result<()> {
        self.done(
            Method::DELETE,
            &format!("resource_classes/{}", segment(name)),
            None::<&()>,
        )
        .await
    }

    pub async fn tokens(&self, resource_class: Option<&str>) -> Result<Vec<rest::Token>> {
        match resource_class {
            Some(class) => self.all(&format!("tokens?resource_class={}", segment(class))).await,
            None => self.all("tokens").await,
        }
    }

    pub async fn create_token(&self, token: &rest::NewToken) -> Result<rest::CreatedToken> {
        self.call(Method::POST, "tokens", Some(token)).await
    }

    pub async fn delete_token(&self, id: i64) -> Result<()> {
        self.done(Method::DELETE, &format!("tokens/{id}"), None::<&()>).await
    }

    pub async fn schedules(&self, project: &str) -> Result<Vec<rest::Schedule>> {
        self.all(&format!("projects/{}/schedules", segment(project))).await
    }

    pub async fn create_schedule(&self, project: &str, schedule: &rest::NewSchedule) -> Result<rest::Schedule> {
        let path = format!("projects/{}/schedules", segment(project));
        self.call(Method::POST, &path, Some(schedule)).await
    }

    pub async fn run_schedule(&self, id: i64) -> Result<rest::Pipeline> {
        self.call(Method::POST, &format!("schedules/{id}/run"), None::<&()>)
            .await
    }

    pub async fn delete_schedule(&self, id: i64) -> Result<()> {
        self.done(Method::DELETE, &format!("schedules/{id}"), None::<&()>).await
    }

    /// The environments of a project, by name; only those in one state.
    pub async fn environments(
        &self,
        project: &str,
        state: Option<rest::EnvironmentState>,
    ) -> Result<Vec<rest::Environment>> {
        let mut path = format!("projects/{}/environments?limit=100", segment(project));
        if let Some(state) = state {
            path.push_str("&state=");
            path.push_str(state.as_str());
        }
        self.all(&path).await
    }

    /// The environment of that name.
    pub async fn environment(&self, project: &str, name: &str) -> Result<Option<rest::Environment>> {
        let path = format!("projects/{}/environments?name={}", segment(project), segment(name));
        let page: rest::Page<rest::Environment> = self.get(&path).await?;
        Ok(page.items.into_iter().next())
    }

    /// The newest deployments of an environment.
    pub async fn deployments(&self, id: i64, limit: u32) -> Result<rest::Page<rest::Deployment>> {
        self.get(&format!("environments/{id}/deployments?limit={limit}")).await
    }

    pub async fn stop_environment(&self, id: i64, how: &rest::StopEnvironment) -> Result<rest::Environment> {
        self.call(Method::POST, &format!("environments/{id}/stop"), Some(how))
            .await
    }

    pub async fn keep_environment(&self, id: i64) -> Result<rest::Environment> {
        self.call(Method::POST, &format!("environments/{id}/keep"), None::<&()>)
            .await
    }

    pub async fn delete_environment(&self, id: i64) -> Result<()> {
        self.done(Method::DELETE, &format!("environments/{id}"), None::<&()>)
            .await
    }

    pub async fn lint(&self, request: &rest::LintRequest) -> Result<Vec<rest::Diagnostic>> {
        self.call(Method::POST, "lint", Some(request)).await
    }

    /// `GET` of any path below the base, decoded.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// All pages of a list.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let glue = if path.contains('?') { '&' } else { '?' };
            let with_cursor = match &next {
                Some(cursor) => format!("{path}{glue}cursor={}", segment(cursor)),
                None => path.to_owned(),
            };
            let page: rest::Page<T> = self.get(&with_cursor).await?;
            items.extend(page.items);
            match page.next {
                Some(cursor) if next.as_ref() != Some(&cursor) => next = Some(cursor),
                _ => return Ok(items),
            }
        }
    }

    async fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T> {
        let response = self.send(method, path, body).await?;
        let bytes = response.bytes().await.map_err(|source| self.network(source))?;
        serde_json::from_slice(&bytes).map_err(ApiError::Decode)
    }

    async fn done<B: Serialize + Sync>(&self, method: Method, path: &str, body: Option<&B>) -> Result<()> {
        self.send(method, path, body).await.map(drop)
    }

    async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<reqwest::Response> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|source| self.network(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let client = self.transport.client().map_err(ApiError::Client)?;
        let url = self
            .base
            .join(path)
            .map_err(|_| ApiError::Client(TransportError::Url { url: path.to_owned() }))?;
        let request = client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    fn network(&self, source: reqwest::Error) -> ApiError {
        ApiError::Network {
            url: self.base.to_string(),
            source: source.without_url(),
        }
    }
}

/// Why the server did not do it.
async fn refusal(response: reqwest::Response) -> ApiError {
    let status = response.status().as_u16();
    let bytes = tokio::time::timeout(Duration::from_secs(30), response.bytes()).await;
    let problem = bytes
        .ok()
        .and_then(std::result::Result::ok)
        .and_then(|b| serde_json::from_slice(&b).ok());
    match problem {
        Some(problem) => ApiError::Problem(Box::new(problem)),
        None => ApiError::Status { status },
    }
}

/// One path segment or query value, percent-encoded.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
