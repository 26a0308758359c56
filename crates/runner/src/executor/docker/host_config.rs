//! From `[runners.docker]` to the engine's `HostConfig`.

use serde_json::{Map, Value, json};

use crate::config::DockerConfig;
use crate::executor::{Error, Result};

/// Which keys of the section count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The job's container.
    Build,
    /// A service: its own limits and guards.
    Service,
    /// The runner's own container: network, names and volumes only.
    Predefined,
}

/// A part of the engine's `HostConfig`; volumes, network and privilege come from elsewhere.
pub(super) fn host_config(config: &DockerConfig, part: Part) -> Result<Map<String, Value>> {
    let mut out = Out(Map::new());
    out.list("Dns", &config.dns);
    out.list("DnsSearch", &config.dns_search);
    out.list("ExtraHosts", &config.extra_hosts);
    out.list("VolumesFrom", &config.volumes_from);
    out.text("UsernsMode", &config.userns_mode);
    out.text("Runtime", &config.runtime);
    out.text("Isolation", &config.isolation);
    out.set("LogConfig", log_config(config, part)?);
    match part {
        Part::Predefined => {}
        Part::Build => {
            limits(
                &mut out,
                &Limits {
                    memory: ("memory", &config.memory),
                    memory_swap: ("memory_swap", &config.memory_swap),
                    memory_reservation: ("memory_reservation", &config.memory_reservation),
                    cpus: ("cpus", &config.cpus),
                    cpuset_cpus: &config.cpuset_cpus,
                    cpu_shares: config.cpu_shares,
                    cgroup_parent: &config.cgroup_parent,
                    gpus: ("gpus", &config.gpus),
                },
            )?;
            build(&mut out, config)?;
        }
        Part::Service => {
            limits(
                &mut out,
                &Limits {
                    memory: ("service_memory", &config.service_memory),
                    memory_swap: ("service_memory_swap", &config.service_memory_swap),
                    memory_reservation: ("service_memory_reservation", &config.service_memory_reservation),
                    cpus: ("service_cpus", &config.service_cpus),
                    cpuset_cpus: &config.service_cpuset_cpus,
                    cpu_shares: config.service_cpu_shares,
                    cgroup_parent: &config.service_cgroup_parent,
                    gpus: ("service_gpus", &config.service_gpus),
                },
            )?;
            out.list("SecurityOpt", &config.services_security_opt);
            out.list("CapAdd", &config.cap_add);
            out.list("CapDrop", &config.cap_drop);
            out.map("Tmpfs", &config.services_tmpfs);
            out.map("Sysctls", &config.sysctls);
            out.number("ShmSize", config.shm_size);
        }
    }
    Ok(out.0)
}

fn build(out: &mut Out, config: &DockerConfig) -> Result<()> {
    out.text("CpusetMems", &config.cpuset_mems);
    out.list("GroupAdd", &config.group_add);
    out.list("CapAdd", &config.cap_add);
    out.list("CapDrop", &config.cap_drop);
    out.list("SecurityOpt", &config.security_opt);
    out.list("DeviceCgroupRules", &config.device_cgroup_rules);
    out.text("PidMode", &config.pid_mode);
    out.text("IpcMode", &config.ipcmode);
    out.map("Tmpfs", &config.tmpfs);
    out.map("Sysctls", &config.sysctls);
    out.number("ShmSize", config.shm_size);
    out.number("OomScoreAdj", config.oom_score_adjust);
    if config.oom_kill_disable {
        out.set("OomKillDisable", json!(true));
    }
    let devices = config
        .devices
        .iter()
        .map(|text| device(text))
        .collect::<Result<Vec<_>>>()?;
    if !devices.is_empty() {
        out.set("Devices", Value::Array(devices));
    }
    let ulimits = config
        .ulimit
        .iter()
        .map(|(name, text)| ulimit(name, text))
        .collect::<Result<Vec<_>>>()?;
    if !ulimits.is_empty() {
        out.set("Ulimits", Value::Array(ulimits));
    }
    Ok(())
}

/// Limits that jobs and services both have, under different keys.
struct Limits<'a> {
    memory: (&'a str, &'a str),
    memory_swap: (&'a str, &'a str),
    memory_reservation: (&'a str, &'a str),
    cpus: (&'a str, &'a str),
    cpuset_cpus: &'a str,
    cpu_shares: i64,
    cgroup_parent: &'a str,
    gpus: (&'a str, &'a str),
}

fn limits(out: &mut Out, limits: &Limits<'_>) -> Result<()> {
    for (name, (key, text)) in [
        ("Memory", limits.memory),
        ("MemorySwap", limits.memory_swap),
        ("MemoryReservation", limits.memory_reservation),
    ] {
        if !text.is_empty() {
            out.set(name, json!(size(key, text)?));
        }
    }
    if !limits.cpus.1.is_empty() {
        out.set("NanoCpus", json!(nano_cpus(limits.cpus.0, limits.cpus.1)?));
    }
    out.text("CpusetCpus", limits.cpuset_cpus);
    out.number("CpuShares", limits.cpu_shares);
    out.text("CgroupParent", limits.cgroup_parent);
    if !limits.gpus.1.is_empty() {
        out.set("DeviceRequests", json!([gpus(limits.gpus.0, limits.gpus.1)?]));
    }
    Ok(())
}

/// An object of which only what was said is filled.
struct Out(Map<String, Value>);

impl Out {
    fn set(&mut self, key: &str, value: Value) {
        if !value.is_null() {
            self.0.insert(key.to_owned(), value);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.set(key, json!(text));
        }
    }

    fn number(&mut self, key: &str, number: i64) {
        if number != 0 {
            self.set(key, json!(number));
        }
    }

    fn list(&mut self, key: &str, list: &[String]) {
        if !list.is_empty() {
            self.set(key, json!(list));
        }
    }

    fn map(&mut self, key: &str, map: &std::collections::BTreeMap<String, String>) {
        if !map.is_empty() {
            self.set(key, json!(map));
        }
    }
}

fn wrong(key: &str, text: &str, remedy: &str) -> Error {
    Error::configuration(format!("{key} = {text:?} in [runners.docker] cannot be used"), remedy)
}

/// Bytes: `512m`, `2g`, `-1` for no limit.
pub(super) fn size(key: &str, text: &str) -> Result<i64> {
    tasuki_model::plan::size(text).ok_or_else(|| wrong(key, text, "write a size like 512m or 2g"))
}

pub(super) fn nano_cpus(key: &str, text: &str) -> Result<i64> {
    let cpus: f64 = text
        .trim()
        .parse()
        .ok()
        .filter(|cpus: &f64| cpus.is_finite() && *cpus > 0.0 && *cpus < 1e6)
        .ok_or_else(|| wrong(key, text, "write a number of processors like 0.5 or 2"))?;
    Ok((cpus * 1e9).round() as i64)
}

/// `/dev/x`, `/dev/x:/dev/y`, `/dev/x:/dev/y:rwm`.
pub(super) fn device(text: &str) -> Result<Value> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, rights) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, rights] => (host, inside, rights),
        _ => return Err(wrong("devices", text, "write /dev/host:/dev/inside:rwm")),
    };
    if host.is_empty() {
        return Err(wrong("devices", text, "write /dev/host:/dev/inside:rwm"));
    }
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": rights}))
}

/// `soft:hard`, or one number for both.
pub(super) fn ulimit(name: &str, text: &str) -> Result<Value> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let parse = |part: &str| part.trim().parse::<i64>();
    match (parse(soft), parse(hard)) {
        (Ok(soft), Ok(hard)) => Ok(json!({"Name": name, "Soft": soft, "Hard": hard})),
        _ => Err(wrong(
            &format!("ulimit.{name}"),
            text,
            "write \"soft:hard\", e.g. \"1024:2048\"",
        )),
    }
}

/// `all`, a number, or `device=0,1`.
fn gpus(key: &str, text: &str) -> Result<Value> {
    let request = |count: i64, ids: Vec<&str>| {
        let mut request = json!({"Count": count, "Capabilities": [["gpu"]]});
        if !ids.is_empty() {
            request["DeviceIDs"] = json!(ids);
        }
        request
    };
    let text = text.trim().trim_matches('"');
    if text == "all" {
        return Ok(request(-1, Vec::new()));
    }
    if let Some(devices) = text.strip_prefix("device=") {
        return Ok(request(0, devices.split(',').collect()));
    }
    let count = text.strip_prefix("count=").unwrap_or(text).parse();
    let count = count.map_err(|_| wrong(key, text, "write all, a number, or device=ID,ID"))?;
    Ok(request(count, Vec::new()))
}

/// Only what names containers in logs: a driver of the job's would send its output elsewhere. What the job's own containers
/// print is the job's output, unmasked: the engine keeps it only where the operator says how its logs are named.
fn log_config(config: &DockerConfig, part: Part) -> Result<Value> {
    if let Some(key) = config
        .log_options
        .keys()
        .find(|key| !matches!(key.as_str(), "env" | "labels"))
    {
        return Err(wrong("log_options", key, "only env and labels can be given"));
    }
    let kept = match part {
        Part::Service => true,
        Part::Build => !config.log_options.is_empty(),
        Part::Predefined => false,
    };
    if !kept {
        return Ok(json!({"Type": "none"}));
    }
    let mut options = Map::new();
    for (key, value) in &config.log_options {
        options.insert(key.clone(), json!(value));
    }
    // The engine keeps what containers print in a file; a job that prints gigabytes must not fill its disk.
    options.entry("max-size").or_insert(json!("16m"));
    Ok(json!({"Type": "json-file", "Config": options}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_the_engines() {
        let text = r#"
            memory = "512m"
            memory_swap = "1g"
            cpus = "1.5"
            cpuset_cpus = "0,1"
            oom_kill_disable = true
            oom_score_adjust = 100
            dns = ["10.0.0.1"]
            cap_add = ["NET_ADMIN"]
            cap_drop = ["NET_RAW"]
            devices = ["/dev/kvm", "/dev/a:/dev/b:r"]
            gpus = "device=0,1"
            shm_size = 1048576
            service_memory = "64m"
            services_security_opt = ["no-new-privileges"]
            security_opt = ["seccomp=unconfined"]
            group_add = ["audio"]
            [tmpfs]
            "/run" = "rw,size=1m"
            [sysctls]
            "net.core.somaxconn" = "128"
            [ulimit]
            nofile = "1024:2048"
            [log_options]
            labels = "io.tasuki.sandbox"
        "#;
        let config: DockerConfig = toml::from_str(text).expect("is read");
        insta::assert_yaml_snapshot!("build", host_config(&config, Part::Build).expect("is usable"));
        insta::assert_yaml_snapshot!("service", host_config(&config, Part::Service).expect("is usable"));
        insta::assert_yaml_snapshot!("predefined", host_config(&config, Part::Predefined).expect("is usable"));
    }

    #[test]
    fn nonsense_names_its_key() {
        for (text, key) in [
            ("memory = \"lots\"", "memory"),
            ("service_memory = \"1x\"", "service_memory"),
            ("cpus = \"-1\"", "cpus"),
            ("cpus = \"NaN\"", "cpus"),
            ("devices = [\"a:b:c:d\"]", "devices"),
            ("gpus = \"some\"", "gpus"),
            ("[ulimit]\nnofile = \"a:b\"", "ulimit.nofile"),
            ("[log_options]\nmax-size = \"1\"", "log_options"),
        ] {
            let config: DockerConfig = toml::from_str(text).expect("is read");
            let build = host_config(&config, Part::Build).and_then(|_| host_config(&config, Part::Service));
            let error = build.expect_err(text);
            assert!(
                matches!(&error, Error::Configuration { message, .. } if message.starts_with(key)),
                "{text}: {error}"
            );
        }
    }
}
