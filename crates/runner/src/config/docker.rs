//! `[runners.docker]`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Settings of the docker executor. Sizes are text as Docker's own (`512m`), an empty text or list says nothing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct DockerConfig {
    /// `unix:///run/docker.sock`, `tcp://host:2376`; empty = `DOCKER_HOST`, else the usual socket.
    pub host: String,
    /// Folder of `ca.pem`, `cert.pem`, `key.pem`; empty = `DOCKER_CERT_PATH`.
    pub tls_cert_path: String,
    /// Speak TLS to a TCP host and check its certificate.
    pub tls_verify: bool,
    pub hostname: String,
    /// Image of jobs that name none.
    pub image: String,
    pub runtime: String,
    pub memory: String,
    pub memory_swap: String,
    pub memory_reservation: String,
    pub cgroup_parent: String,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub cpus: String,
    pub cpu_shares: i64,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub privileged: bool,
    /// Absent = as `privileged`.
    pub services_privileged: Option<bool>,
    pub disable_entrypoint_overwrite: bool,
    pub user: String,
    pub allowed_users: Vec<String>,
    pub group_add: Vec<String>,
    pub userns_mode: String,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub oom_kill_disable: bool,
    pub oom_score_adjust: i64,
    pub security_opt: Vec<String>,
    pub services_security_opt: Vec<String>,
    pub devices: Vec<String>,
    pub device_cgroup_rules: Vec<String>,
    pub gpus: String,
    /// Image pattern → devices.
    pub services_devices: BTreeMap<String, Vec<String>>,
    /// No cache volumes: what would be one lives as long as the job.
    pub disable_cache: bool,
    pub volumes: Vec<String>,
    /// Keep the volumes of a job after it (GitLab's word for debugging; nothing of a job stays otherwise).
    pub volume_keep: bool,
    pub volume_driver: String,
    pub volume_driver_ops: BTreeMap<String, String>,
    /// Folder of the engine's machine for caches, instead of volumes.
    pub cache_dir: String,
    pub extra_hosts: Vec<String>,
    pub volumes_from: Vec<String>,
    pub network_mode: String,
    pub pid_mode: String,
    pub ipcmode: String,
    pub mac_address: String,
    pub links: Vec<String>,
    /// Address of the engine's machine that ports of jobs' containers are bound to, and the widest that a job may name: empty =
    /// 127.0.0.1, `0.0.0.0` = all.
    pub ports_address: String,
    pub services: Vec<DockerService>,
    /// Absent or negative = no limit.
    pub services_limit: Option<i64>,
    pub service_memory: String,
    pub service_memory_swap: String,
    pub service_memory_reservation: String,
    pub service_cgroup_parent: String,
    pub service_slot_cgroup_template: String,
    pub service_cpuset_cpus: String,
    pub service_cpus: String,
    pub service_cpu_shares: i64,
    pub service_gpus: String,
    /// Seconds; absent or 0 = 30, negative = do not wait.
    pub wait_for_services_timeout: Option<i64>,
    pub allowed_images: Vec<String>,
    pub allowed_privileged_images: Vec<String>,
    pub allowed_privileged_services: Vec<String>,
    pub allowed_pull_policies: Vec<String>,
    pub allowed_services: Vec<String>,
    pub pull_policy: OneOrMany,
    pub isolation: String,
    pub shm_size: i64,
    /// Folder → options.
    pub tmpfs: BTreeMap<String, String>,
    pub services_tmpfs: BTreeMap<String, String>,
    pub sysctls: BTreeMap<String, String>,
    /// Image of checkout, caches and artifacts; empty = one made of this machine's own git.
    pub helper_image: String,
    pub helper_image_flavor: String,
    pub container_labels: BTreeMap<String, String>,
    pub enable_ipv6: bool,
    /// Name → `soft:hard`.
    pub ulimit: BTreeMap<String, String>,
    pub network_mtu: i64,
    /// `env` and `labels` only.
    pub log_options: BTreeMap<String, String>,
}

/// `[[runners.docker.services]]`: beside every job of the runner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct DockerService {
    pub name: String,
    pub alias: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    /// `KEY=value`.
    pub environment: Vec<String>,
    pub suspend_data_path: String,
}

/// A text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// What it holds, without the empty ones.
    #[must_use]
    pub fn list(&self) -> Vec<&str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().map(String::as_str).filter(|one| !one.is_empty()).collect()
    }
}
