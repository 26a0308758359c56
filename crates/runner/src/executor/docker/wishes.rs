//! What a job wishes of a container beside its image: options of the engine, volumes, ports.
//!
//! The runner's configuration is the limit. What it does not allow ends the job before anything is made, and names the key that
//! would allow it; nothing is left out in silence.

use std::net::IpAddr;
use std::path::Path;

use serde_json::{Map, Value, json};
use tasuki_model::plan::{Health, Image, Meeting, Options, Port, Volume};
use tasuki_model::reason::FailureReason;

use super::host_config::{self, Part};
use super::volumes;
use crate::config::DockerConfig;
use crate::executor::{Error, Result, Task, access, helper_image};

/// Capabilities that the engine gives to every container.
const USUAL: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The share of a container of which nobody says one.
const USUAL_SHARES: i64 = 1024;

/// Labels that say whose a container is.
const OURS: [&str; 2] = ["io.tasuki.", "com.gitlab.gitlab-runner."];

/// Wishes that the configuration allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wishes {
    pub(super) options: Options,
    volumes: Vec<Volume>,
    ports: Vec<Port>,
    /// What ports without an address are bound to.
    address: String,
}

/// Reads and judges the wishes of a container.
///
/// # Errors
/// One that cannot be, or that the configuration does not allow.
pub(super) fn read(config: &DockerConfig, folders: &[&str], task: &Task, image: &Image, part: Part) -> Result<Wishes> {
    let text = image.options.as_deref().unwrap_or_default();
    let bad = |refused| {
        let message = format!("the container {:?} cannot be made: {refused}", image.name);
        Error::job(FailureReason::RunnerConfigurationError, message)
    };
    let options = Options::parse(text).map_err(bad)?;
    let volumes = image.volumes.iter().map(|text| Volume::parse(text));
    let volumes = volumes.chain(options.volumes.iter().cloned().map(Ok));
    let wishes = Wishes {
        volumes: volumes.collect::<std::result::Result<_, _>>().map_err(bad)?,
        // The ports of others say what a container listens at.
        ports: match task.meeting {
            Meeting::Ports => image.ports.clone(),
            Meeting::Names | Meeting::Localhost => Vec::new(),
        },
        address: address(config).to_string(),
        options,
    };
    let guard = Guard { config, image, part };
    guard.privileges(&wishes.options)?;
    guard.limits(&wishes.options)?;
    guard.others(&wishes.options)?;
    let targets = wishes.options.tmpfs.iter().map(|(folder, _)| folder.as_str());
    guard.targets(targets.chain(wishes.volumes.iter().map(Volume::target)), folders)?;
    guard.volumes(&wishes.volumes, task)?;
    guard.ports(&wishes.ports)?;
    Ok(wishes)
}

/// The address that ports are bound to where a job names none.
fn address(config: &DockerConfig) -> IpAddr {
    config.ports_address.parse().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Compares wishes with the configuration.
struct Guard<'a> {
    config: &'a DockerConfig,
    image: &'a Image,
    part: Part,
}

impl Guard<'_> {
    fn refuse(&self, what: &str, key: &str) -> Error {
        let name = &self.image.name;
        let message = format!("the container {name:?} asks for {what}, which this runner does not allow ({key})");
        Error::job(FailureReason::RunnerConfigurationError, message)
    }

    fn by_part<T>(&self, build: T, service: T) -> T {
        match self.part {
            Part::Service => service,
            Part::Build | Part::Predefined => build,
        }
    }

    fn is_privileged(&self) -> bool {
        let config = self.config;
        let (wanted, patterns) = self.by_part(
            (config.privileged, &config.allowed_privileged_images),
            (
                config.services_privileged.unwrap_or(config.privileged),
                &config.allowed_privileged_services,
            ),
        );
        access::privileged(wanted, patterns, &self.image.name)
    }

    fn privileges(&self, options: &Options) -> Result<()> {
        let config = self.config;
        if self.is_privileged() {
            return Ok(());
        }
        if options.privileged {
            return Err(self.refuse("--privileged", self.by_part("privileged", "services_privileged")));
        }
        for capability in &options.cap_add {
            let bare = |name: &str| {
                let name = name.to_ascii_uppercase();
                name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
            };
            let among = |list: &[String]| {
                let mut names = list.iter().map(|name| bare(name));
                names.any(|name| name == "ALL" || name == bare(capability))
            };
            let is_usual = USUAL.contains(&bare(capability).as_str()) && !among(&config.cap_drop);
            if !is_usual && !among(&config.cap_add) {
                return Err(self.refuse(&format!("--cap-add {capability}"), "cap_add"));
            }
        }
        let known = self.by_part(&config.security_opt, &config.services_security_opt);
        for option in &options.security {
            let is_less = matches!(
                option.as_str(),
                "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"
            );
            if !is_less && !known.contains(option) {
                let key = self.by_part("security_opt", "services_security_opt");
                return Err(self.refuse(&format!("--security-opt {option}"), key));
            }
        }
        for device in &options.devices {
            let for_services = config.services_devices.iter();
            let for_services = for_services
                .filter(|(pattern, _)| access::matches(&[(*pattern).clone()], &self.image.name))
                .flat_map(|(_, devices)| devices);
            let is_known = match self.part {
                Part::Service => for_services.into_iter().any(|known| known == device),
                Part::Build | Part::Predefined => config.devices.contains(device),
            };
            if !is_known {
                let key = self.by_part("devices", "services_devices");
                return Err(self.refuse(&format!("--device {device}"), key));
            }
        }
        Ok(())
    }

    fn limits(&self, options: &Options) -> Result<()> {
        let config = self.config;
        let bytes = |key: &str, text: &str| match text {
            "" => Ok(None),
            text => host_config::size(key, text).map(Some),
        };
        let (memory, swap, reserved, cpus) = self.by_part(
            (
                ("memory", &config.memory),
                ("memory_swap", &config.memory_swap),
                ("memory_reservation", &config.memory_reservation),
                ("cpus", &config.cpus),
            ),
            (
                ("service_memory", &config.service_memory),
                ("service_memory_swap", &config.service_memory_swap),
                ("service_memory_reservation", &config.service_memory_reservation),
                ("service_cpus", &config.service_cpus),
            ),
        );
        let most = bytes(memory.0, memory.1)?;
        self.at_most("--memory", options.memory, memory.0, most)?;
        // Without a word of the configuration the engine lets a container swap as much as it has memory.
        let most_swap = bytes(swap.0, swap.1)?.or(most.map(|most| most.saturating_mul(2)));
        self.at_most(
            "--memory-swap",
            options.memory_swap,
            swap.0,
            most_swap.filter(|most| *most >= 0),
        )?;
        let most = bytes(reserved.0, reserved.1)?;
        self.at_most("--memory-reservation", options.memory_reservation, reserved.0, most)?;
        let most = match cpus.1.as_str() {
            "" => None,
            text => Some(host_config::nano_cpus(cpus.0, text)?),
        };
        self.at_most("--cpus", options.nano_cpus, cpus.0, most)?;
        let (key, shares) = self.by_part(
            ("cpu_shares", config.cpu_shares),
            ("service_cpu_shares", config.service_cpu_shares),
        );
        let most = if shares > 0 { shares } else { USUAL_SHARES };
        self.at_most("--cpu-shares", options.cpu_shares, key, Some(most))?;
        let (key, set) = self.by_part(
            ("cpuset_cpus", &config.cpuset_cpus),
            ("service_cpuset_cpus", &config.service_cpuset_cpus),
        );
        if let Some(wanted) = options
            .cpuset_cpus
            .as_ref()
            .filter(|wanted| !set.is_empty() && *wanted != set)
        {
            return Err(self.refuse(&format!("--cpuset-cpus {wanted}"), key));
        }
        let most = Some(config.shm_size).filter(|most| *most > 0);
        self.at_most("--shm-size", options.shm_size, "shm_size", most)?;
        for (name, soft, hard) in &options.ulimits {
            let Some(text) = config.ulimit.get(name) else { continue };
            let most = host_config::ulimit(name, text)?["Hard"].as_i64();
            let key = format!("ulimit.{name}");
            let most = most.filter(|most| *most >= 0);
            self.at_most("--ulimit", Some(*soft), &key, most)?;
            self.at_most("--ulimit", Some(*hard), &key, most)?;
        }
        Ok(())
    }

    /// Less than nothing is no limit.
    fn at_most(&self, option: &str, wanted: Option<i64>, key: &str, most: Option<i64>) -> Result<()> {
        match (wanted, most) {
            (Some(wanted), Some(most)) if wanted < 0 || wanted > most => {
                Err(self.refuse(&format!("more than its limit by {option}"), key))
            }
            _ => Ok(()),
        }
    }

    fn others(&self, options: &Options) -> Result<()> {
        let label = options.labels.iter().map(|(key, _)| key);
        if let Some(key) = label
            .into_iter()
            .find(|key| OURS.iter().any(|ours| key.starts_with(ours)))
        {
            return Err(self.refuse(
                &format!("--label {key}"),
                "labels of that name say whose a container is",
            ));
        }
        let is_name = |name: &str| {
            let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !name.is_empty() && name.len() <= 63 && name.chars().all(is_good)
        };
        let names = options.aliases.iter().chain(&options.hostname);
        if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
            return Err(self.refuse(
                &format!("the name {name:?}"),
                "names of hosts are letters, digits, `-`, `_` and `.`",
            ));
        }
        let runner = self.by_part(self.config.user.as_str(), "");
        access::user(runner, &self.config.allowed_users, options.user.as_deref()).map(drop)
    }

    fn targets<'t>(&self, mut targets: impl Iterator<Item = &'t str>, folders: &[&str]) -> Result<()> {
        let met = targets.find_map(|target| {
            let meets = |folder: &str| Path::new(target).starts_with(folder) || Path::new(folder).starts_with(target);
            let mut needed = folders.iter().copied().chain([helper_image::FOLDER]);
            Some((target, needed.find(|folder| meets(folder))?.to_owned()))
        });
        match met {
            None => Ok(()),
            Some((target, folder)) => Err(self.refuse(
                &format!("a volume at {target}"),
                &format!("the runner itself needs {folder}"),
            )),
        }
    }

    fn volumes(&self, wanted: &[Volume], task: &Task) -> Result<()> {
        let allowed = volumes::mounted(self.config, task)?;
        for volume in wanted {
            if let Volume::Host { source, read_only, .. } = volume {
                let is_known = |(known, only): &(String, bool)| known == source && (*read_only || !only);
                if !allowed.iter().any(is_known) {
                    let what = format!("the folder {source} of the machine");
                    return Err(self.refuse(&what, "only what `volumes` of the runner mounts, and no more of it"));
                }
            }
        }
        Ok(())
    }

    fn ports(&self, wanted: &[Port]) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let text = self.config.ports_address.as_str();
        if !text.is_empty() && text.parse::<IpAddr>().is_err() {
            return Err(Error::configuration(
                format!("ports_address = {text:?} in [runners.docker] is no address"),
                "write 127.0.0.1, 0.0.0.0 or another address of the engine's machine",
            ));
        }
        let widest = address(self.config);
        for port in wanted {
            let Some(text) = &port.address else { continue };
            let inner = text
                .strip_prefix('[')
                .and_then(|text| text.strip_suffix(']'))
                .unwrap_or(text);
            let is_allowed = inner.parse::<IpAddr>().is_ok_and(|address| {
                widest.is_unspecified() || address == widest || address.is_loopback() && widest.is_loopback()
            });
            if !is_allowed {
                return Err(self.refuse(&format!("a port at {text}"), "ports_address"));
            }
        }
        Ok(())
    }
}

impl Wishes {
    /// Whether something is passed on by the machine.
    pub(super) fn has_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// The job's own volumes that it names.
    pub(super) fn own_volumes<'a>(&'a self, base: &'a str) -> impl Iterator<Item = String> + 'a {
        self.volumes.iter().filter_map(move |volume| match volume {
            Volume::Named { name, .. } => Some(own(base, name)),
            Volume::Anonymous { .. } | Volume::Host { .. } => None,
        })
    }

    /// Puts them into the engine's description of a container that is whole otherwise.
    pub(super) fn put(&self, body: &mut Value, base: &str) {
        let options = &self.options;
        for (key, value) in &options.labels {
            body["Labels"][key.as_str()] = json!(value);
        }
        let env = options.env.iter().map(|(key, value)| json!(format!("{key}={value}")));
        push(&mut body["Env"], env);
        if let Some(health) = &options.health {
            body["Healthcheck"] = health_check(health);
        }
        if let Some(hostname) = &options.hostname {
            body["Hostname"] = json!(hostname);
        }
        for volume in &self.volumes {
            let mode = |read_only: bool| if read_only { "ro" } else { "rw" };
            let bind = match volume {
                Volume::Anonymous { target } => {
                    body["Volumes"][target.as_str()] = json!({});
                    continue;
                }
                Volume::Named {
                    name,
                    target,
                    read_only,
                } => format!("{}:{target}:{}", own(base, name), mode(*read_only)),
                Volume::Host {
                    source,
                    target,
                    read_only,
                } => format!("{source}:{target}:{}", mode(*read_only)),
            };
            push(&mut body["HostConfig"]["Binds"], [json!(bind)]);
        }
        self.put_ports(body);
        let host = &mut body["HostConfig"];
        for (key, list) in [
            ("ExtraHosts", &options.add_hosts),
            ("CapAdd", &options.cap_add),
            ("CapDrop", &options.cap_drop),
            ("SecurityOpt", &options.security),
        ] {
            push(&mut host[key], list.iter().map(|one| json!(one)));
        }
        for (key, number) in [
            ("NanoCpus", options.nano_cpus),
            ("CpuShares", options.cpu_shares),
            ("Memory", options.memory),
            ("MemoryReservation", options.memory_reservation),
            ("MemorySwap", options.memory_swap),
            ("ShmSize", options.shm_size),
        ] {
            if let Some(number) = number {
                host[key] = json!(number);
            }
        }
        if let Some(set) = &options.cpuset_cpus {
            host["CpusetCpus"] = json!(set);
        }
        if options.init {
            host["Init"] = json!(true);
        }
        for (folder, how) in &options.tmpfs {
            host["Tmpfs"][folder.as_str()] = json!(how);
        }
        let ulimits = options.ulimits.iter();
        let ulimits: Vec<Value> = ulimits
            .map(|(name, soft, hard)| json!({"Name": name, "Soft": soft, "Hard": hard}))
            .collect();
        let replaced = |one: &Value| options.ulimits.iter().any(|(name, _, _)| one["Name"] == json!(name));
        if let Some(known) = host["Ulimits"].as_array_mut() {
            known.retain(|one| !replaced(one));
        }
        push(&mut host["Ulimits"], ulimits);
    }

    fn put_ports(&self, body: &mut Value) {
        let (mut exposed, mut bound) = (Map::new(), Map::new());
        for port in &self.ports {
            let key = format!("{}/{}", port.number, port.protocol.as_deref().unwrap_or("tcp"));
            exposed.insert(key.clone(), json!({}));
            let address = port.address.as_deref().unwrap_or(&self.address);
            // The engine chooses where nothing is said.
            let host = port.host.map(|number| number.to_string()).unwrap_or_default();
            let entry = json!({"HostIp": address.trim_matches(['[', ']']), "HostPort": host});
            push(bound.entry(key).or_insert(Value::Null), [entry]);
        }
        if !bound.is_empty() {
            body["ExposedPorts"] = Value::Object(exposed);
            body["HostConfig"]["PortBindings"] = Value::Object(bound);
        }
    }
}

fn own(base: &str, name: &str) -> String {
    format!("{base}-volume-{name}")
}

/// Adds to a list that may not be there.
fn push(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    let mut all = list.as_array().cloned().unwrap_or_default();
    all.extend(more);
    if !all.is_empty() {
        *list = Value::Array(all);
    }
}

fn health_check(health: &Health) -> Value {
    let Health::Asked {
        command,
        interval,
        timeout,
        start_period,
        retries,
    } = health
    else {
        return json!({"Test": ["NONE"]});
    };
    let mut check = Map::new();
    if let Some(command) = command {
        check.insert("Test".to_owned(), json!(["CMD-SHELL", command]));
    }
    for (key, number) in [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("Retries", retries),
    ] {
        if let Some(number) = number {
            check.insert(key.to_owned(), json!(number));
        }
    }
    Value::Object(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(config: &str, image: &Image, part: Part) -> Result<Wishes> {
        let config: DockerConfig = toml::from_str(config).expect("is a configuration");
        let task = Task {
            meeting: Meeting::Ports,
            ..crate::executor::docker::volumes::some_task()
        };
        read(&config, &["/builds", "/cache"], &task, image, part)
    }

    fn options(text: &str) -> Image {
        Image {
            name: "db:1".to_owned(),
            options: Some(text.to_owned()),
            ..Image::default()
        }
    }

    #[track_caller]
    fn check(config: &str, image: &Image, wanted: Option<&str>) {
        for part in [Part::Build, Part::Service] {
            let judged = judge(config, image, part);
            match (judged, wanted) {
                (Ok(_), None) => {}
                (Err(error), Some(key)) => {
                    assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
                    assert!(error.to_string().contains(key), "{image:?}: {error}");
                }
                (other, wanted) => panic!("{image:?} under {config:?}: {other:?}, not {wanted:?}"),
            }
        }
    }

    /// What leads out of a container is the configuration's alone.
    #[test]
    fn wishes_end_where_the_configuration_does() {
        check("", &options("--privileged"), Some("privileged"));
        check("privileged = true", &options("--privileged"), None);
        check(
            "privileged = true\nallowed_privileged_images = [\"x\"]\nallowed_privileged_services = [\"x\"]",
            &options("--privileged"),
            Some("privileged"),
        );
        check("", &options("--cap-add SYS_ADMIN"), Some("cap_add"));
        check("", &options("--cap-add CAP_ALL"), Some("cap_add"));
        check("", &options("--cap-add=all"), Some("cap_add"));
        check("", &options("--cap-add NET_RAW --cap-drop ALL"), None);
        check(
            "cap_drop = [\"NET_RAW\"]",
            &options("--cap-add cap_net_raw"),
            Some("cap_add"),
        );
        check("cap_drop = [\"ALL\"]", &options("--cap-add CHOWN"), Some("cap_add"));
        check("cap_add = [\"NET_ADMIN\"]", &options("--cap-add CAP_NET_ADMIN"), None);
        check("", &options("--security-opt seccomp=unconfined"), Some("security_opt"));
        check("", &options("--security-opt no-new-privileges"), None);
        check("", &options("--device /dev/kvm"), Some("devices"));
        check("", &options("--label io.tasuki.sandbox=another"), Some("whose"));
        check(
            "",
            &options("--label com.gitlab.gitlab-runner.type=build"),
            Some("whose"),
        );
        check("", &options("--network-alias 'a b'"), Some("names of hosts"));
        check(
            "allowed_users = [\"1000\"]",
            &options("--user 0"),
            Some("allowed_users"),
        );
        check("", &options("--user 0"), None);
    }

    #[test]
    fn limits_are_not_lifted() {
        let limited = "memory = \"64m\"\nservice_memory = \"64m\"\ncpus = \"1\"\nservice_cpus = \"1\"\nshm_size = 1024\n\
                       cpuset_cpus = \"0\"\nservice_cpuset_cpus = \"0\"\n[ulimit]\nnofile = \"10:20\"";
        for (text, key) in [
            ("--memory 65m", "memory"),
            ("--memory=-1", "memory"),
            ("--memory 32m --memory-swap 129m", "memory_swap"),
            ("--memory-swap=-1", "memory_swap"),
            ("--cpus 1.1", "cpus"),
            ("--cpu-shares 2048", "cpu_shares"),
            ("--cpuset-cpus 0-3", "cpuset_cpus"),
            ("--shm-size 1g", "shm_size"),
            ("--ulimit nofile=10:21", "ulimit.nofile"),
            ("--ulimit nofile=-1", "ulimit.nofile"),
        ] {
            check(limited, &options(text), Some(key));
        }
        check(
            limited,
            &options("--memory 64m --memory-swap 128m --cpus 1 --ulimit nofile=5:20"),
            None,
        );
        check(
            "",
            &options("--memory 64g --memory-swap=-1 --ulimit memlock=-1 --cpuset-cpus 0"),
            None,
        );
    }

    #[test]
    fn volumes_and_ports_lead_nowhere_else() {
        let volume = |text: &str| Image {
            volumes: vec![text.to_owned()],
            ..options("")
        };
        check("", &volume("/:/host"), Some("the folder / of the machine"));
        check("", &options("-v /etc:/x"), Some("/etc"));
        check(
            "",
            &volume("/var/run/docker.sock:/var/run/docker.sock"),
            Some("docker.sock"),
        );
        let known = "volumes = [\"/srv:/srv:ro\", \"/run/x:/y\"]";
        check(known, &volume("/srv:/elsewhere:ro"), None);
        check(known, &volume("/srv:/elsewhere"), Some("/srv"));
        check(known, &volume("/srv/deeper:/elsewhere:ro"), Some("/srv/deeper"));
        check(known, &volume("/run/x:/z"), None);
        check("", &volume("mine:/.tasuki"), Some("the runner itself"));
        check("", &volume("/builds/x"), Some("the runner itself"));
        check("", &volume("mine:/cache"), Some("the runner itself"));
        check("", &options("--tmpfs /.tasuki"), Some("the runner itself"));
        check("", &volume("mine:/data"), None);
        let port = |address: Option<&str>| Image {
            ports: vec![Port {
                number: 80,
                protocol: None,
                name: None,
                host: Some(8080),
                address: address.map(str::to_owned),
            }],
            ..options("")
        };
        check("", &port(None), None);
        check("", &port(Some("127.0.0.1")), None);
        check("", &port(Some("[::1]")), None);
        check("", &port(Some("0.0.0.0")), Some("ports_address"));
        check("", &port(Some("10.0.0.1")), Some("ports_address"));
        check("ports_address = \"0.0.0.0\"", &port(Some("10.0.0.1")), None);
        check("ports_address = \"here\"", &port(None), Some("ports_address"));
    }

    #[test]
    fn wishes_become_the_engines() {
        let mut image = options(
            "--health-cmd 'ping -c1 x' --health-interval 1s --health-retries 3 --cpus 0.5 --memory 64m --label a=b -e A=b \
             --tmpfs /run --ulimit nofile=1:2 --cap-drop ALL --add-host up:1.2.3.4 --init -h name",
        );
        image.volumes = ["/new", "kept:/kept:ro"].map(str::to_owned).to_vec();
        let port = |number: u16, host: Option<u16>| Port {
            number,
            protocol: None,
            name: None,
            host,
            address: None,
        };
        image.ports = vec![port(80, Some(8080)), port(80, None), port(53, None)];
        let wishes = judge("ulimit = {nofile = \"5:6\", core = \"0\"}", &image, Part::Service).expect("is allowed");
        let mut body = json!({"Env": ["X=y"], "HostConfig": {"Binds": ["a:/a"], "Ulimits": [
            {"Name": "nofile", "Soft": 5, "Hard": 6}, {"Name": "core", "Soft": 0, "Hard": 0}]}});
        wishes.put(&mut body, "base");
        insta::assert_yaml_snapshot!(body);
        let own: Vec<String> = wishes.own_volumes("base").collect();
        assert_eq!(own, ["base-volume-kept"]);
    }
}
