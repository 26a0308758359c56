//! GitLab's runner protocol (`/api/v4/…`): bodies, headers and derived names, exactly as they are on the wire.
//!
//! Reading is as lenient as the protocol allows (unknown fields are skipped, any list or scalar may be
//! `null`); writing is as strict as a stock gitlab-runner demands (absent instead of `null` where it says so).

pub mod headers;
mod info;
mod nullable;
mod payload;
mod range;
mod register;
mod request;
mod secrets;
mod tasuki;
mod token;
mod update;

#[cfg(test)]
mod tests;

pub use info::{ConfigInfo, Features, Info, feature};
pub use payload::{
    ArtifactFormat, ArtifactSpec, ArtifactsFile, Cache, Credentials, Dependency, DockerOptions, ExecutorOptions,
    GitInfo, Hook, Image, Input, InputValue, JobFeatures, JobInfo, JobResponse, JobVariable, KubernetesOptions,
    OtelAuth, OtelEndpoint, OtelOidc, PolicyOptions, Port, RefType, RunnerInfo, Step, SuspendOptions, Tracing,
    UploadWhen, UserOption, When,
};
pub use range::{ContentRange, StoredRange};
pub use register::{
    AccessLevel, Discovery, RegisterRequest, Registered, ResetRequest, TokenReset, UnregisterRequest, VerifyRequest,
};
pub use request::{JobRequest, SessionInfo};
pub use secrets::{
    AwsSecret, AwsServer, AzureKeyVault, AzureServer, GcpSecret, GcpServer, GitlabInlineAuth, GitlabSecret,
    GitlabSecretServer, Secret, Vault, VaultAuth, VaultEngine, VaultServer,
};
pub use tasuki::{Containers, SourceSnapshot, TasukiExtension, Wishes, WorkspaceLayer};
pub use token::{TokenKind, short_token};
pub use update::{JobState, Output, UpdateJob, checksum};

use serde::{Deserialize, Serialize};

/// The body of an error answer: `{"message": "text"}` or `{"message": {"field": ["problem", …]}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub message: serde_json::Value,
}

impl ErrorBody {
    /// An error with one sentence.
    pub fn text(message: impl Into<String>) -> Self {
        Self {
            message: serde_json::Value::String(message.into()),
        }
    }

    /// The message as one line for people: `field: problem, problem; other: problem`.
    #[must_use]
    pub fn flat(&self) -> String {
        match &self.message {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Object(fields) => fields
                .iter()
                .map(|(field, problems)| format!("{field}: {}", flat_value(problems)))
                .collect::<Vec<_>>()
                .join("; "),
            other => flat_value(other),
        }
    }
}

fn flat_value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(flat_value).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
