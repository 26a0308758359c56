//! The job payload: the body of a 201 to `POST jobs/request`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use tasuki_model::secret;

use super::nullable::{is_default, nullable};
use super::{Secret, TasukiExtension};

/// A job as it is handed to a runner.
///
/// A stock gitlab-runner decodes strictly: a field of the wrong type makes it drop the job. So optional
/// fields are left out, never sent as `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResponse {
    pub id: i64,
    pub token: secret::Secret,
    #[serde(default, deserialize_with = "nullable")]
    pub allow_git_fetch: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub job_info: JobInfo,
    #[serde(default, deserialize_with = "nullable")]
    pub git_info: GitInfo,
    #[serde(default, deserialize_with = "nullable")]
    pub runner_info: RunnerInfo,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Order matters: the last of a name wins.
    #[serde(default, deserialize_with = "nullable")]
    pub variables: Vec<JobVariable>,
    #[serde(default, deserialize_with = "nullable")]
    pub steps: Vec<Step>,
    /// Native steps: JSON **in a string**. With it, `steps` is empty.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub run: String,
    #[serde(default, deserialize_with = "nullable")]
    pub image: Image,
    #[serde(default, deserialize_with = "nullable")]
    pub services: Vec<Image>,
    #[serde(default, deserialize_with = "nullable")]
    pub artifacts: Vec<ArtifactSpec>,
    #[serde(default, deserialize_with = "nullable")]
    pub cache: Vec<Cache>,
    #[serde(default, deserialize_with = "nullable")]
    pub credentials: Vec<Credentials>,
    #[serde(default, deserialize_with = "nullable")]
    pub dependencies: Vec<Dependency>,
    #[serde(default, deserialize_with = "nullable")]
    pub features: JobFeatures,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_options: Option<PolicyOptions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend_options: Option<SuspendOptions>,
    /// Ours; absent for runners that do not announce the feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasuki: Option<TasukiExtension>,
}

/// Who the job belongs to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JobInfo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub stage: String,
    #[serde(default, deserialize_with = "nullable")]
    pub pipeline_id: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub project_id: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub project_name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub project_full_path: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub namespace_id: i64,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub root_namespace_id: i64,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub organization_id: i64,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub user_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoped_user_id: Option<i64>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub instance_id: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub instance_uuid: String,
    #[serde(default, deserialize_with = "nullable")]
    pub time_in_queue_seconds: f64,
    /// A **string**: `"3"`, `"50+"`, `"+Inf"`.
    #[serde(default, deserialize_with = "nullable")]
    pub project_jobs_running_on_instance_runners_count: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub queue_size: i64,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub queue_depth: i64,
}

/// Kind of the ref that is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefType {
    #[default]
    Branch,
    Tag,
    /// Merge requests and whatever comes later.
    #[serde(other)]
    Other,
}

/// What to check out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GitInfo {
    /// With credentials: `https://gitlab-ci-token:<token>@host/path.git`.
    #[serde(default, deserialize_with = "nullable")]
    pub repo_url: String,
    /// `sha1` or `sha256`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub repo_object_format: String,
    #[serde(default, rename = "ref", deserialize_with = "nullable")]
    pub git_ref: String,
    #[serde(default, deserialize_with = "nullable")]
    pub sha: String,
    #[serde(default, deserialize_with = "nullable")]
    pub before_sha: String,
    #[serde(default, deserialize_with = "nullable")]
    pub ref_type: RefType,
    #[serde(default, deserialize_with = "nullable")]
    pub refspecs: Vec<String>,
    /// 0 = whole history.
    #[serde(default, deserialize_with = "nullable")]
    pub depth: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
}

/// Limits of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunnerInfo {
    /// Seconds; 0 = the runner's default of 7,200.
    #[serde(default, deserialize_with = "nullable")]
    pub timeout: u64,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub uuid: String,
}

/// One typed input of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub key: String,
    pub value: InputValue,
}

/// Value of an input. `type` must be that of `content`, or a stock runner drops the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputValue {
    /// `string`, `number`, `boolean`, `array`, `struct`.
    #[serde(rename = "type")]
    pub kind: String,
    pub content: serde_json::Value,
    #[serde(default, deserialize_with = "nullable")]
    pub sensitive: bool,
}

/// A variable of the job. `Debug` hides values that are masked.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobVariable {
    #[serde(default, deserialize_with = "nullable")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
    /// May be shown to services and in container environments.
    #[serde(default, deserialize_with = "nullable")]
    pub public: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub file: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub masked: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub raw: bool,
}

impl JobVariable {
    /// A public variable that may be expanded.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            public: true,
            ..Self::default()
        }
    }
}

impl fmt::Debug for JobVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.masked { "[MASKED]" } else { &self.value };
        write!(f, "{}={shown:?}", self.key)
    }
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
}

/// When something is uploaded. Kept apart from [`When`] because caches may hold variables.
pub type UploadWhen = When;

/// A user script of the job: `script`, `after_script`, `release`, …
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub script: Vec<String>,
    /// Seconds.
    #[serde(default, deserialize_with = "nullable")]
    pub timeout: u64,
    #[serde(default, deserialize_with = "when_or_default")]
    pub when: When,
    #[serde(default, deserialize_with = "nullable")]
    pub allow_failure: bool,
}

/// A container image, of the job or of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Image {
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// May hold several names, split by spaces or commas.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub alias: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<JobVariable>,
    /// Always a list on the wire; tried in order.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub pull_policy: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub executor_opts: ExecutorOptions,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Port {
    pub number: u32,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Options of one executor. Unknown ones are kept so that a runner can refuse the job, as it must.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ExecutorOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerOptions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesOptions>,
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl ExecutorOptions {
    /// Paths of options that the protocol does not know; a job with one fails before anything is done.
    #[must_use]
    pub fn unsupported(&self) -> Vec<String> {
        let docker = self
            .docker
            .iter()
            .flat_map(|o| o.unknown.keys().map(|key| format!("docker.{key}")));
        let kubernetes = self
            .kubernetes
            .iter()
            .flat_map(|o| o.unknown.keys().map(|key| format!("kubernetes.{key}")));
        self.unknown.keys().cloned().chain(docker).chain(kubernetes).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DockerOptions {
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub platform: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserOption>,
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KubernetesOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserOption>,
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

/// A user: a string or an integer, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserOption {
    Id(i64),
    Name(String),
}

impl fmt::Display for UserOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Form of an uploaded artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactFormat {
    #[default]
    Zip,
    Gzip,
    Raw,
    /// Between our own: tar packed with zstd.
    Tarzstd,
    Zipzstd,
}

impl ArtifactFormat {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Raw => "raw",
            Self::Tarzstd => "tarzstd",
            Self::Zipzstd => "zipzstd",
        }
    }
}

/// What the job leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArtifactSpec {
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub untracked: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub paths: Vec<String>,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(default, deserialize_with = "when_or_default")]
    pub when: UploadWhen,
    /// `archive`, `junit`, `dotenv`, `metadata`, …
    #[serde(default, deserialize_with = "nullable")]
    pub artifact_type: String,
    #[serde(default, deserialize_with = "format_or_default")]
    pub artifact_format: ArtifactFormat,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub expire_in: String,
}

/// One cache. `key`, `policy` and `paths` may hold variables, which the runner expands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cache {
    #[serde(default, deserialize_with = "nullable")]
    pub key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub untracked: bool,
    /// `pull-push` (also when empty), `pull`, `push`, or text with a variable.
    #[serde(default, deserialize_with = "nullable")]
    pub policy: String,
    #[serde(default, deserialize_with = "nullable")]
    pub paths: Vec<String>,
    #[serde(default, deserialize_with = "when_or_default")]
    pub when: UploadWhen,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub fallback_keys: Vec<String>,
}

/// Log-in for a registry. `Debug` hides the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `registry`.
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    #[serde(default, deserialize_with = "nullable")]
    pub username: String,
    pub password: secret::Secret,
}

/// A job whose artifacts are fetched; skipped when there is no file name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub id: i64,
    /// Authenticates the download.
    pub token: secret::Secret,
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub artifacts_file: ArtifactsFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArtifactsFile {
    #[serde(default, deserialize_with = "nullable")]
    pub filename: String,
    #[serde(default, deserialize_with = "nullable")]
    pub size: i64,
}

/// What the server can do with the job's answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JobFeatures {
    #[serde(default, deserialize_with = "nullable")]
    pub trace_sections: bool,
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub token_mask_prefixes: Vec<String>,
    /// Failure reasons beyond the basic three that the server understands.
    #[serde(default, deserialize_with = "nullable")]
    pub failure_reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tracing {
    #[serde(default, deserialize_with = "nullable")]
    pub trace_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub span_parent_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub otel_endpoints: Vec<OtelEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OtelEndpoint {
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<OtelAuth>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OtelAuth {
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_bearer_gcp_oidc: Option<OtelOidc>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OtelOidc {
    #[serde(default, deserialize_with = "nullable")]
    pub audience: String,
}

/// `pre_get_sources_script` or `post_get_sources_script`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hook {
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub script: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyOptions {
    #[serde(default, deserialize_with = "nullable")]
    pub execution_policy_job: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub policy_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_variables_override_allowed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_variables_override_exceptions: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SuspendOptions {
    #[serde(default, deserialize_with = "nullable")]
    pub suspend_on_success: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub suspend_on_failure: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub runtime_environment_key: String,
}

/// GitLab sends `""` and `null` where nothing was set.
fn when_or_default<'de, D: Deserializer<'de>>(input: D) -> Result<When, D::Error> {
    match Option::<String>::deserialize(input)?.as_deref() {
        None | Some("" | "on_success") => Ok(When::OnSuccess),
        Some("on_failure") => Ok(When::OnFailure),
        Some("always") => Ok(When::Always),
        Some(other) => Err(serde::de::Error::unknown_variant(
            other,
            &["on_success", "on_failure", "always"],
        )),
    }
}

fn format_or_default<'de, D: Deserializer<'de>>(input: D) -> Result<ArtifactFormat, D::Error> {
    match Option::<String>::deserialize(input)?.as_deref() {
        None | Some("" | "zip") => Ok(ArtifactFormat::Zip),
        Some("gzip") => Ok(ArtifactFormat::Gzip),
        Some("raw") => Ok(ArtifactFormat::Raw),
        Some("tarzstd") => Ok(ArtifactFormat::Tarzstd),
        Some("zipzstd") => Ok(ArtifactFormat::Zipzstd),
        Some(other) => Err(serde::de::Error::unknown_variant(other, &["zip", "gzip", "raw"])),
    }
}
