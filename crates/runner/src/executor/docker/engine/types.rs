//! What we look at in the engine's answers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /info`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub(in crate::executor::docker) struct Info {
    pub(in crate::executor::docker) server_version: String,
    pub(in crate::executor::docker) architecture: String,
    #[serde(rename = "OSType")]
    pub(in crate::executor::docker) os_type: String,
}

/// `GET /images/X/json`
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct ImageInfo {
    pub(in crate::executor::docker) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) repo_digests: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) repo_tags: Vec<String>,
    pub(in crate::executor::docker) architecture: String,
    pub(in crate::executor::docker) os: String,
    pub(in crate::executor::docker) config: ImageConfig,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct ImageConfig {
    /// `80/tcp` → nothing.
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) cmd: Vec<String>,
}

/// `GET /containers/X/json`
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct Container {
    pub(in crate::executor::docker) id: String,
    pub(in crate::executor::docker) state: State,
    pub(in crate::executor::docker) network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub(in crate::executor::docker) struct NetworkSettings {
    /// On the engine's default bridge. Elsewhere a container has none of its own.
    #[serde(rename = "IPAddress")]
    pub(in crate::executor::docker) ip_address: String,
    /// `80/tcp` → where the machine passes it on.
    #[serde(rename = "Ports", deserialize_with = "nullable")]
    pub(in crate::executor::docker) ports: BTreeMap<String, Option<Vec<Binding>>>,
}

/// A port of the engine's machine.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct Binding {
    pub(in crate::executor::docker) host_port: String,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct State {
    pub(in crate::executor::docker) running: bool,
    #[serde(rename = "OOMKilled")]
    pub(in crate::executor::docker) oom_killed: bool,
    pub(in crate::executor::docker) exit_code: i64,
    pub(in crate::executor::docker) error: String,
    /// Absent where nobody asks for it.
    pub(in crate::executor::docker) health: Option<Health>,
}

/// What the engine knows of a container's health.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct Health {
    /// `starting`, `healthy`, `unhealthy`; `none` or empty where nobody asks.
    pub(in crate::executor::docker) status: String,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) log: Vec<Asked>,
}

/// One question for it.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct Asked {
    pub(in crate::executor::docker) exit_code: i64,
    pub(in crate::executor::docker) output: String,
}

/// `GET /exec/X/json`
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct ExecState {
    pub(in crate::executor::docker) running: bool,
    pub(in crate::executor::docker) exit_code: Option<i64>,
}

/// One of a list of containers, networks or volumes.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::executor::docker) struct Summary {
    /// Containers and networks.
    pub(in crate::executor::docker) id: String,
    /// Networks and volumes.
    pub(in crate::executor::docker) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) names: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::executor::docker) labels: BTreeMap<String, String>,
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}
