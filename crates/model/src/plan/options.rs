//! `options` and `volumes` of a container: words of `docker create`, as workflows write them.
//!
//! What may be wished is decided by the runner's configuration; here stands only what can be wished at all.

/// What `options` say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `name:address`
    pub add_hosts: Vec<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Billionths of a processor.
    pub nano_cpus: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpuset_cpus: Option<String>,
    pub devices: Vec<String>,
    pub entrypoint: Option<String>,
    pub env: Vec<(String, String)>,
    pub health: Option<Health>,
    pub hostname: Option<String>,
    pub init: bool,
    pub labels: Vec<(String, String)>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Bytes; -1 = no limit.
    pub memory_swap: Option<i64>,
    /// Further names in the job's network.
    pub aliases: Vec<String>,
    pub privileged: bool,
    pub security: Vec<String>,
    /// Bytes.
    pub shm_size: Option<i64>,
    /// Folder, options.
    pub tmpfs: Vec<(String, String)>,
    /// Name, soft limit, hard limit; -1 = none.
    pub ulimits: Vec<(String, i64, i64)>,
    pub user: Option<String>,
    pub volumes: Vec<Volume>,
}

/// How a container's health is asked. What is absent is the image's, or the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not at all.
    Off,
    Asked {
        /// A line for the container's shell.
        command: Option<String>,
        /// Nanoseconds, as all times here.
        interval: Option<i64>,
        timeout: Option<i64>,
        start_period: Option<i64>,
        retries: Option<i64>,
    },
}

impl Health {
    const NOTHING: Self = Self::Asked {
        command: None,
        interval: None,
        timeout: None,
        start_period: None,
        retries: None,
    };
}

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// Empty, for this container alone.
    Anonymous { target: String },
    /// Shared by the containers that name it.
    Named {
        name: String,
        target: String,
        read_only: bool,
    },
    /// A folder of the engine's machine.
    Host {
        source: String,
        target: String,
        read_only: bool,
    },
}

/// Why options cannot be used: what is wrong, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {remedy}")]
pub struct Refused {
    pub message: String,
    pub remedy: String,
}

impl Refused {
    fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// The words of a command line, as a shell makes them; nothing in it is expanded. `None`: a quotation mark or a backslash has no
/// other half.
#[must_use]
pub fn words(text: &str) -> Option<Vec<String>> {
    shlex::split(text)
}

/// Bytes: `512m`, `2g`, `-1`.
#[must_use]
pub fn size(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: i64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "m" | "mb" | "mi" | "mib" => 1 << 20,
        "g" | "gb" | "gi" | "gib" => 1 << 30,
        "t" | "tb" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    let bytes = number * factor as f64;
    (bytes.is_finite() && bytes.abs() < i64::MAX as f64).then_some(bytes as i64)
}

/// Options that say something of their own when they are refused, and what helps instead.
const ELSEWHERE: [(&str, &str); 10] = [
    (
        "network",
        "all containers of a job share its network; another name in it is `--network-alias`",
    ),
    (
        "net",
        "all containers of a job share its network; another name in it is `--network-alias`",
    ),
    (
        "name",
        "the runner names containers; the id of a service is `job.services.ID.id`",
    ),
    ("publish", "write it under `ports`"),
    ("p", "write it under `ports`"),
    ("pid", "containers of jobs have their own processes"),
    ("ipc", "containers of jobs have their own memory"),
    ("userns", "the runner's configuration says it (`userns_mode`)"),
    ("gpus", "the runner's configuration says it (`gpus`)"),
    ("runtime", "the runner's configuration says it (`runtime`)"),
];

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// An option that is not known, or whose value is none.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let all = words(text).ok_or_else(|| {
            Refused::new(
                format!("`{text}` has a quotation mark or a backslash without its other half"),
                "close the quotation",
            )
        })?;
        let mut options = Self::default();
        let mut rest = all.into_iter();
        while let Some(word) = rest.next() {
            let (name, given) = split(&word)?;
            let name = long(&name);
            if options.flag(&name, given.as_deref())? {
                continue;
            }
            if !is_known(&name) {
                return Err(unknown(&word, &name));
            }
            let value = given.or_else(|| rest.next());
            let value = value.ok_or_else(|| Refused::new(format!("`{word}` has no value"), "write it behind"))?;
            options.take(&name, value)?;
        }
        Ok(options)
    }

    /// An option without a value, or with `=true`.
    fn flag(&mut self, name: &str, given: Option<&str>) -> Result<bool, Refused> {
        let place = match name {
            "privileged" => &mut self.privileged,
            "init" => &mut self.init,
            "no-healthcheck" => {
                if is_true(name, given)? {
                    self.health = Some(Health::Off);
                }
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *place = is_true(name, given)?;
        Ok(true)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Refused> {
        let wrong = |remedy: &str| Refused::new(format!("`--{name} {value}` cannot be used"), remedy);
        let bytes = || size(&value).ok_or_else(|| wrong("write a size like 512m or 2g"));
        let pair = || match value.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(wrong("write NAME=value")),
        };
        match name {
            "add-host" => match value.split_once([':', '=']) {
                Some((host, address)) if !host.is_empty() && !address.is_empty() => {
                    self.add_hosts.push(format!("{host}:{address}"));
                }
                _ => return Err(wrong("write name:address")),
            },
            "cap-add" => self.cap_add.push(value),
            "cap-drop" => self.cap_drop.push(value),
            "cpus" => {
                let cpus = value.parse().ok().filter(|cpus: &f64| *cpus > 0.0 && *cpus < 1e6);
                let cpus = cpus.ok_or_else(|| wrong("write a number of processors like 0.5 or 2"))?;
                self.nano_cpus = Some((cpus * 1e9).round() as i64);
            }
            "cpu-shares" => self.cpu_shares = Some(number(&value).ok_or_else(|| wrong("write a number"))?),
            "cpuset-cpus" => self.cpuset_cpus = Some(value),
            "device" => self.devices.push(value),
            "entrypoint" => self.entrypoint = Some(value),
            "env" => self.env.push(pair()?),
            "hostname" => self.hostname = Some(value),
            "label" => self.labels.push(match value.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => (value, String::new()),
            }),
            "memory" => self.memory = Some(bytes()?),
            "memory-reservation" => self.memory_reservation = Some(bytes()?),
            "memory-swap" => self.memory_swap = Some(bytes()?),
            "network-alias" => self.aliases.push(value),
            "security-opt" => self.security.push(value),
            "shm-size" => self.shm_size = Some(bytes()?),
            "tmpfs" => {
                let (folder, options) = value.split_once(':').unwrap_or((&value, ""));
                if !is_inside(folder) {
                    return Err(wrong(
                        "write an absolute folder of the container, options behind a colon",
                    ));
                }
                self.tmpfs.push((folder.to_owned(), options.to_owned()));
            }
            "ulimit" => self
                .ulimits
                .push(ulimit(&value).ok_or_else(|| wrong("write NAME=soft:hard"))?),
            "user" => self.user = Some(value),
            "volume" => self.volumes.push(Volume::parse(&value)?),
            _ => self.take_health(name, &value)?,
        }
        Ok(())
    }

    fn take_health(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let wrong = |remedy: &str| Refused::new(format!("`--{name} {value}` cannot be used"), remedy);
        if matches!(self.health, None | Some(Health::Off)) {
            self.health = Some(Health::NOTHING);
        }
        let Some(Health::Asked {
            command,
            interval,
            timeout,
            start_period,
            retries,
        }) = &mut self.health
        else {
            return Ok(());
        };
        let time = || nanoseconds(value).ok_or_else(|| wrong("write a time like 10s, 1m30s or 500ms"));
        match name {
            "health-cmd" => *command = Some(value.to_owned()),
            "health-interval" => *interval = Some(time()?),
            "health-timeout" => *timeout = Some(time()?),
            "health-start-period" => *start_period = Some(time()?),
            _ => *retries = Some(number(value).ok_or_else(|| wrong("write a number"))?),
        }
        Ok(())
    }
}

/// Options with a value.
const KNOWN: [&str; 26] = [
    "add-host",
    "cap-add",
    "cap-drop",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "device",
    "entrypoint",
    "env",
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-period",
    "health-timeout",
    "hostname",
    "label",
    "memory",
    "memory-reservation",
    "memory-swap",
    "network-alias",
    "security-opt",
    "shm-size",
    "tmpfs",
    "ulimit",
    "user",
    "volume",
];

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

fn unknown(word: &str, name: &str) -> Refused {
    let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == name);
    match elsewhere {
        Some((_, remedy)) => Refused::new(
            format!("the option `{word}` cannot be given to a container of a job"),
            *remedy,
        ),
        None => Refused::new(
            format!("the option `{word}` is not supported"),
            format!(
                "supported are --{}, --init, --no-healthcheck, --privileged",
                KNOWN.join(", --")
            ),
        ),
    }
}

/// Name and value of `--name`, `--name=value`, `-n`, `-nvalue`.
fn split(word: &str) -> Result<(String, Option<String>), Refused> {
    if let Some(rest) = word.strip_prefix("--").filter(|rest| !rest.is_empty()) {
        return Ok(match rest.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (rest.to_owned(), None),
        });
    }
    let mut short = word.strip_prefix('-').unwrap_or_default().chars();
    match short.next() {
        Some(name) if name.is_ascii_alphabetic() => {
            let value = short.as_str();
            let value = value.strip_prefix('=').unwrap_or(value);
            Ok((name.to_string(), (!value.is_empty()).then(|| value.to_owned())))
        }
        _ => Err(Refused::new(
            format!("`{word}` is no option"),
            "options begin with `-`; put quotation marks around values with spaces",
        )),
    }
}

/// The long name of an option.
fn long(name: &str) -> String {
    match name {
        "c" => "cpu-shares",
        "e" => "env",
        "h" => "hostname",
        "l" => "label",
        "m" => "memory",
        "u" => "user",
        "v" => "volume",
        "net-alias" => "network-alias",
        other => other,
    }
    .to_owned()
}

fn is_true(name: &str, given: Option<&str>) -> Result<bool, Refused> {
    match given {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Refused::new(
            format!("`--{name}={other}` cannot be used"),
            "write true or false",
        )),
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

/// `soft:hard`, or one number for both.
fn ulimit(text: &str) -> Option<(String, i64, i64)> {
    let (name, limits) = text.split_once('=')?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let parse = |text: &str| text.parse::<i64>().ok().filter(|limit| *limit >= -1);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_name.then_some((name.to_owned(), parse(soft)?, parse(hard)?))
}

/// `1h2m3.5s`, `500ms`.
fn nanoseconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0.0;
    if rest == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "h" => 3.6e12,
                "m" => 6e10,
                "s" => 1e9,
                "ms" => 1e6,
                "us" | "µs" => 1e3,
                "ns" => 1.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    (!text.is_empty() && total < 9e18).then_some(total as i64)
}

/// An absolute path that leads nowhere else, and not the whole.
fn is_inside(path: &str) -> bool {
    let mut parts = path.split('/');
    path.starts_with('/')
        && !path.trim_matches('/').is_empty()
        && !path.contains(['\0', '\n'])
        && parts.all(|part| part != ".." && part != ".")
}

impl Volume {
    /// Reads `/target`, `name:/target`, `/source:/target`, each but the first with `:ro` or `:rw` behind.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let wrong = || {
            Refused::new(
                format!("`{text}` is no volume"),
                "write `/folder`, `name:/folder` or `/host:/folder`, with `:ro` behind for reading only",
            )
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [target] if is_inside(target) => {
                return Ok(Self::Anonymous {
                    target: target.to_owned(),
                });
            }
            [source, target] | [source, target, "rw"] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => return Err(wrong()),
        };
        let target = Some(target)
            .filter(|target| is_inside(target))
            .ok_or_else(wrong)?
            .to_owned();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if source.starts_with('/') && !source.split('/').any(|part| part == "..") {
            return Ok(Self::Host {
                source: source.to_owned(),
                target,
                read_only,
            });
        }
        let begins = source.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || source.len() < 2 || !source.chars().all(is_name) {
            return Err(wrong());
        }
        Ok(Self::Named {
            name: source.to_owned(),
            target,
            read_only,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Self::Anonymous { target } | Self::Named { target, .. } | Self::Host { target, .. } => target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, part: &str) {
        let error = Options::parse(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn options_are_read_as_a_shell_and_docker_read_them() {
        let text = r#"--health-cmd "pg_isready -U 'me'" --health-interval=10s --health-timeout 500ms
            --health-retries 5 --health-start-period 1m30s --cpus 1.5 -m 512m --memory-swap=-1 -u 1000:1000 -h db
            -e A='b c' --env "D=e=f" -eG=h --label x --label y=z --tmpfs /run:size=1m --shm-size=1g --ulimit nofile=1024:2048
            --ulimit memlock=-1 --cap-add NET_ADMIN --cap-drop=ALL --network-alias other --add-host up:host-gateway
            -v data:/data:ro -v /srv:/srv --volume /cache --init --privileged=false --security-opt no-new-privileges"#;
        let read = Options::parse(text).expect("is read");
        assert_eq!(
            read.health,
            Some(Health::Asked {
                command: Some("pg_isready -U 'me'".to_owned()),
                interval: Some(10_000_000_000),
                timeout: Some(500_000_000),
                start_period: Some(90_000_000_000),
                retries: Some(5),
            })
        );
        assert_eq!((read.nano_cpus, read.memory), (Some(1_500_000_000), Some(512 << 20)));
        assert_eq!((read.memory_swap, read.shm_size), (Some(-1), Some(1 << 30)));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read.env, [pair("A", "b c"), pair("D", "e=f"), pair("G", "h")]);
        assert_eq!(read.labels, [pair("x", ""), pair("y", "z")]);
        assert_eq!(read.tmpfs, [pair("/run", "size=1m")]);
        assert_eq!(
            read.ulimits,
            [("nofile".to_owned(), 1024, 2048), ("memlock".to_owned(), -1, -1)]
        );
        assert_eq!(read.add_hosts, ["up:host-gateway"]);
        assert_eq!((read.init, read.privileged), (true, false));
        assert_eq!(read.volumes.len(), 3);
        assert_eq!(
            (read.user.as_deref(), read.hostname.as_deref()),
            (Some("1000:1000"), Some("db"))
        );
        assert_eq!(Options::parse(" \n").expect("nothing"), Options::default());
        assert_eq!(
            Options::parse("--health-cmd x --no-healthcheck").expect("off").health,
            Some(Health::Off)
        );
    }

    #[test]
    fn what_cannot_be_wished_is_named() {
        refuses("--network host", "`--network`");
        refuses("--net=host", "`--net=host`");
        refuses("--network-alias", "has no value");
        refuses("--pid host", "`--pid`");
        refuses("--volumes-from x", "`--volumes-from` is not supported");
        refuses("-p 80:80", "under `ports`");
        refuses("--name db", "job.services");
        refuses("--privileged=maybe", "true or false");
        refuses("--memory lots", "512m");
        refuses("--health-interval soon", "10s");
        refuses("-e HOME", "NAME=value");
        refuses("postgres", "`postgres` is no option");
        refuses("--env 'A=b", "quotation mark");
        refuses("--", "no option");
        refuses("--ulimit NOFILE=1", "soft:hard");
        refuses("--tmpfs ../x", "absolute");
    }

    #[test]
    fn volumes_are_read() {
        let check = |text: &str, wanted: Option<&str>| {
            let found = Volume::parse(text).ok().map(|volume| match volume {
                Volume::Anonymous { target } => format!("new {target}"),
                Volume::Named {
                    name,
                    target,
                    read_only,
                } => format!("{name} {target} {read_only}"),
                Volume::Host {
                    source,
                    target,
                    read_only,
                } => format!("host {source} {target} {read_only}"),
            });
            assert_eq!(found.as_deref(), wanted, "{text}");
        };
        check("/data", Some("new /data"));
        check("cache:/data", Some("cache /data false"));
        check("cache:/data:ro", Some("cache /data true"));
        check("/srv/x:/data:rw", Some("host /srv/x /data false"));
        for text in [
            "",
            "data",
            "/",
            "a:b",
            "cache:/",
            "./x:/y",
            "../x:/y",
            "/a/../b:/c",
            "/a:/b/../c",
            "/a:/b:z",
            "/a:/b:ro:rw",
            "~/x:/y",
            "-x:/y",
            "a b:/c",
        ] {
            check(text, None);
        }
    }
}
