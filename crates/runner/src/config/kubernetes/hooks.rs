//! `[runners.kubernetes.container_lifecycle]`: hooks of the build container.

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ContainerLifecycle {
    pub post_start: Option<LifecycleHook>,
    pub pre_stop: Option<LifecycleHook>,
}

/// Exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct LifecycleHook {
    pub exec: Option<ExecHook>,
    pub http_get: Option<HttpGetHook>,
    pub tcp_socket: Option<TcpSocketHook>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ExecHook {
    pub command: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct HttpGetHook {
    pub port: u16,
    /// Empty = the pod's address.
    pub host: String,
    pub path: String,
    /// Empty = `HTTP`.
    pub scheme: String,
    pub http_headers: Vec<HttpHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct HttpHeader {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct TcpSocketHook {
    pub port: u16,
    pub host: String,
}
