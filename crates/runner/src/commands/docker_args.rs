//! Keys of `[runners.docker]` as flags.

use clap::Args;
use toml::{Table, Value};

use super::section::{set_list, set_text};

/// `--docker-…`
#[derive(Debug, Clone, Default, Args)]
pub struct DockerArgs {
    /// Image of jobs that name none
    #[arg(long = "docker-image", env = "DOCKER_IMAGE", value_name = "VALUE")]
    pub docker_image: Option<String>,
    /// Address of the container engine (unix:///run/docker.sock, tcp://host:2376)
    #[arg(long = "docker-host", env = "DOCKER_HOST_ADDRESS", value_name = "VALUE")]
    pub docker_host: Option<String>,
    /// Folder of ca.pem, cert.pem and key.pem
    #[arg(long = "docker-tls-cert-path", env = "DOCKER_CERT_PATH", value_name = "VALUE")]
    pub docker_tls_cert_path: Option<String>,
    /// User in the container instead of the image's
    #[arg(long = "docker-user", env = "DOCKER_USER", value_name = "VALUE")]
    pub docker_user: Option<String>,
    /// Memory of a job's container, e.g. 2g
    #[arg(long = "docker-memory", env = "DOCKER_MEMORY", value_name = "VALUE")]
    pub docker_memory: Option<String>,
    /// Processors of a job's container, e.g. 1.5
    #[arg(long = "docker-cpus", env = "DOCKER_CPUS", value_name = "VALUE")]
    pub docker_cpus: Option<String>,
    /// Network instead of one for each job
    #[arg(long = "docker-network-mode", env = "DOCKER_NETWORK_MODE", value_name = "VALUE")]
    pub docker_network_mode: Option<String>,
    /// Image of checkout, caches and artifacts
    #[arg(long = "docker-helper-image", env = "DOCKER_HELPER_IMAGE", value_name = "VALUE")]
    pub docker_helper_image: Option<String>,
    /// Runtime of containers
    #[arg(long = "docker-runtime", env = "DOCKER_RUNTIME", value_name = "VALUE")]
    pub docker_runtime: Option<String>,
    /// Privileged containers (Docker in Docker)
    #[arg(long = "docker-privileged", env = "DOCKER_PRIVILEGED")]
    pub docker_privileged: bool,
    /// No cache volumes
    #[arg(long = "docker-disable-cache", env = "DOCKER_DISABLE_CACHE")]
    pub docker_disable_cache: bool,
    /// Keep the images' entrypoints
    #[arg(
        long = "docker-disable-entrypoint-overwrite",
        env = "DOCKER_DISABLE_ENTRYPOINT_OVERWRITE"
    )]
    pub docker_disable_entrypoint_overwrite: bool,
    /// Mount (/cache, /host:/inside:ro), may be repeated
    #[arg(long = "docker-volumes", env = "DOCKER_VOLUMES", value_name = "VALUE")]
    pub docker_volumes: Vec<String>,
    /// always, if-not-present or never, may be repeated
    #[arg(long = "docker-pull-policy", env = "DOCKER_PULL_POLICY", value_name = "VALUE")]
    pub docker_pull_policy: Vec<String>,
    /// Pattern of images that jobs may use, may be repeated
    #[arg(long = "docker-allowed-images", env = "DOCKER_ALLOWED_IMAGES", value_name = "VALUE")]
    pub docker_allowed_images: Vec<String>,
    /// Pattern of services that jobs may use, may be repeated
    #[arg(
        long = "docker-allowed-services",
        env = "DOCKER_ALLOWED_SERVICES",
        value_name = "VALUE"
    )]
    pub docker_allowed_services: Vec<String>,
    /// Pull policy that jobs may ask for, may be repeated
    #[arg(
        long = "docker-allowed-pull-policies",
        env = "DOCKER_ALLOWED_PULL_POLICIES",
        value_name = "VALUE"
    )]
    pub docker_allowed_pull_policies: Vec<String>,
    /// Entry of /etc/hosts (name:address), may be repeated
    #[arg(long = "docker-extra-hosts", env = "DOCKER_EXTRA_HOSTS", value_name = "VALUE")]
    pub docker_extra_hosts: Vec<String>,
    /// Capability to add, may be repeated
    #[arg(long = "docker-cap-add", env = "DOCKER_CAP_ADD", value_name = "VALUE")]
    pub docker_cap_add: Vec<String>,
    /// Capability to drop, may be repeated
    #[arg(long = "docker-cap-drop", env = "DOCKER_CAP_DROP", value_name = "VALUE")]
    pub docker_cap_drop: Vec<String>,
    /// Device of the engine's machine, may be repeated
    #[arg(long = "docker-devices", env = "DOCKER_DEVICES", value_name = "VALUE")]
    pub docker_devices: Vec<String>,
    /// Security option, may be repeated
    #[arg(long = "docker-security-opt", env = "DOCKER_SECURITY_OPT", value_name = "VALUE")]
    pub docker_security_opt: Vec<String>,
}

/// The flags that were given, as a section.
pub(super) fn docker_section(args: &DockerArgs) -> Table {
    let mut table = Table::new();
    for (key, value) in [
        ("image", &args.docker_image),
        ("host", &args.docker_host),
        ("tls_cert_path", &args.docker_tls_cert_path),
        ("user", &args.docker_user),
        ("memory", &args.docker_memory),
        ("cpus", &args.docker_cpus),
        ("network_mode", &args.docker_network_mode),
        ("helper_image", &args.docker_helper_image),
        ("runtime", &args.docker_runtime),
    ] {
        set_text(&mut table, key, value.as_deref());
    }
    for (key, value) in [
        ("privileged", args.docker_privileged),
        ("disable_cache", args.docker_disable_cache),
        ("disable_entrypoint_overwrite", args.docker_disable_entrypoint_overwrite),
    ] {
        if value {
            table.insert(key.to_owned(), Value::Boolean(true));
        }
    }
    for (key, values) in [
        ("volumes", &args.docker_volumes),
        ("pull_policy", &args.docker_pull_policy),
        ("allowed_images", &args.docker_allowed_images),
        ("allowed_services", &args.docker_allowed_services),
        ("allowed_pull_policies", &args.docker_allowed_pull_policies),
        ("extra_hosts", &args.docker_extra_hosts),
        ("cap_add", &args.docker_cap_add),
        ("cap_drop", &args.docker_cap_drop),
        ("devices", &args.docker_devices),
        ("security_opt", &args.docker_security_opt),
    ] {
        set_list(&mut table, key, values);
    }
    table
}
