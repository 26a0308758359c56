//! Container images and services of a job. Executors without containers ignore them.

use serde::{Deserialize, Serialize};

use super::Variable;

/// The image that a job's steps run in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Image {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Tried in order; empty = the runner's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_policy: Vec<PullPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `image:docker:user`, CircleCI `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `image:kubernetes:user`: text or number there, text here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// Registry log-in declared in the config (CircleCI `auth`, GitHub `credentials`): user, reference of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<(String, String)>,
    /// Volumes and engine options of GitHub's `container:`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// A label of the image that, where it is `true`, keeps the image's entrypoint whatever `entrypoint` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint_label: Option<String>,
}

/// A container beside the job's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Service {
    #[serde(flatten)]
    pub image: Image,
    /// Host names under which the job reaches it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// A port that the container offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub number: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Port on the host (GitHub services `host:container`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<u16>,
    /// Address of the host that it is bound to; absent = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How the containers of a job meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meeting {
    /// Services are reached by their names (GitLab).
    #[default]
    Names,
    /// By their names, and at ports of the machine; steps that have no container of their own find these at `localhost` (GitHub).
    /// A service whose image or options say how its health is asked is waited for until it is well.
    Ports,
    /// All at `localhost`, and by their names (CircleCI).
    Localhost,
}
