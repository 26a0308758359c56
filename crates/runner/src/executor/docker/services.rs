//! Containers beside the job's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use tasuki_model::plan::{Image, Meeting, Service, Variable};
use tasuki_model::reason::FailureReason;

use super::console::Console;
use super::engine::{self, Attached, Container, Piece};
use super::host_config::{Part, device};
use super::images;
use super::names::Role;
use super::prepare::Plan;
use super::wishes::{self, Wishes};
use super::{health, remote, together};
use crate::config::DockerConfig;
use crate::executor::access;
use crate::executor::reference::Reference;
use crate::executor::{Discard, Error, Output, Result, Stop, Stream, Task};
use crate::guest::inside::{Answer, Work};

/// Seconds to wait for services where the configuration says nothing.
const WAIT: u64 = 30;

/// Lines of a service's log that are shown when it does not listen.
const LINES: u32 = 200;

/// A service that is to run.
pub(super) struct Wanted {
    pub(super) service: Service,
    pub(super) wishes: Wishes,
}

impl Wanted {
    pub(super) fn wished(&self) -> (&Image, &Wishes) {
        (&self.service.image, &self.wishes)
    }
}

/// A service that runs.
pub(super) struct Started {
    pub(super) id: String,
    name: String,
    pub(super) image: String,
    pub(super) aliases: Vec<String>,
    /// The port whose listening says that it is ready.
    port: Option<u16>,
    /// The name that the job gave it.
    pub(super) given: Option<String>,
    /// What the engine says of it, where that may be asked for.
    pub(super) container: Option<Container>,
}

impl Started {
    /// A name that the engine's DNS knows for certain: the container's own may be too long for a host's.
    fn host(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Where a guest in the job's network reaches it: on the engine's default bridge names are known by links only, and its
    /// address does it. `None`: nowhere, or nobody knows.
    pub(super) async fn reached_at(&self, plan: &Plan) -> Result<Option<String>> {
        if plan.network.together().is_some() {
            return Ok(Some("127.0.0.1".to_owned()));
        }
        if plan.network.has_names() {
            return Ok(Some(self.host().to_owned()));
        }
        if !plan.network.needs_links() {
            return Ok(None);
        }
        let container = plan.engine.container(&self.id).await;
        let container = container.map_err(|error| Error::system("ask where a service is", error))?;
        Ok(Some(container.network_settings.ip_address).filter(|ip| !ip.is_empty()))
    }

    /// As links of the default bridge.
    pub(super) fn links(&self) -> Vec<String> {
        self.aliases
            .iter()
            .map(|alias| format!("{}:{alias}", self.name))
            .collect()
    }
}

/// The runner's services, then the job's.
///
/// # Errors
/// There are too many, or one is not allowed.
pub(super) fn wanted(config: &DockerConfig, folders: &[&str], task: &Task) -> Result<Vec<Wanted>> {
    let own = config
        .services
        .iter()
        .filter(|service| !service.name.is_empty())
        .map(|service| Service {
            image: Image {
                name: crate::job::expand(&service.name, |name| task.variable(name).unwrap_or_default().to_owned()),
                command: (!service.command.is_empty()).then(|| service.command.clone()),
                entrypoint: (!service.entrypoint.is_empty()).then(|| service.entrypoint.clone()),
                variables: service
                    .environment
                    .iter()
                    .map(|entry| {
                        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
                        Variable::plain(key, value)
                    })
                    .collect(),
                ..Image::default()
            },
            aliases: service
                .alias
                .split([' ', ','])
                .filter(|alias| !alias.is_empty())
                .map(str::to_owned)
                .collect(),
        });
    let jobs = task.services.iter().cloned().map(|mut service| {
        if config.disable_entrypoint_overwrite {
            service.image.entrypoint = None;
        }
        service
    });
    let all: Vec<Service> = own.chain(jobs).collect();
    if let Some(limit) = config.services_limit.and_then(|limit| usize::try_from(limit).ok())
        && all.len() > limit
    {
        let message = format!(
            "the job has {} services, and this runner allows {limit} (services_limit)",
            all.len()
        );
        return Err(Error::job(FailureReason::RunnerConfigurationError, message));
    }
    let known: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    for service in &all {
        access::check_image(
            "allowed_services",
            &config.allowed_services,
            &service.image.name,
            &known,
        )?;
    }
    let judged = all.into_iter().map(|service| {
        let wishes = wishes::read(config, folders, task, &service.image, Part::Service)?;
        Ok(Wanted { service, wishes })
    });
    judged.collect()
}

/// Starts all of them, in order.
pub(super) async fn start(plan: &Plan, wanted: &[Wanted], console: &Console<'_>, stop: &Stop) -> Result<Vec<Started>> {
    let mut taken = BTreeSet::new();
    let mut named = Vec::new();
    let mut warnings = Vec::new();
    for Wanted { service, .. } in wanted {
        let name = &service.image.name;
        let mut aliases = Vec::new();
        let mut twice = Vec::new();
        for alias in service.aliases.iter().cloned().chain(Reference::parse(name).aliases()) {
            if taken.insert(alias.clone()) {
                aliases.push(alias);
            } else {
                twice.push(format!(
                    "WARNING: service {name} is already created under the name {alias}. Ignoring."
                ));
            }
        }
        named.push(aliases);
        warnings.push(twice);
    }
    if let Some(name) = plan.network.together() {
        together::start(plan, name, named.iter().flatten()).await?;
    }
    let mut started = Vec::new();
    for (index, ((wanted, aliases), warnings)) in wanted.iter().zip(named).zip(warnings).enumerate() {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        console
            .line(&format!("Starting service {} ...", wanted.service.image.name))
            .await;
        for warning in warnings {
            console.line(&warning).await;
        }
        started.push(start_one(plan, wanted, index, aliases, console, stop).await?);
    }
    Ok(started)
}

async fn start_one(
    plan: &Plan,
    wanted: &Wanted,
    index: usize,
    aliases: Vec<String>,
    console: &Console<'_>,
    stop: &Stop,
) -> Result<Started> {
    let Wanted { service, wishes } = wanted;
    let (config, image, options) = (plan.config(), &service.image, &wishes.options);
    let info = images::provide(&plan.engine, &plan.shared.settings, &plan.task, image, console, stop).await?;
    let mut body = plan.container(Role::Service(&image.name), Part::Service, &info)?;
    let is_wanted = config.services_privileged.unwrap_or(config.privileged);
    let privileged = access::privileged(is_wanted, &config.allowed_privileged_services, &image.name);
    body["HostConfig"]["Privileged"] = json!(privileged);
    let devices = config
        .services_devices
        .iter()
        .filter(|(pattern, _)| access::matches(&[(*pattern).clone()], &image.name))
        .flat_map(|(_, devices)| devices)
        .map(|text| device(text))
        .collect::<Result<Vec<_>>>()?;
    if !devices.is_empty() {
        body["HostConfig"]["Devices"] = json!(devices);
    }
    if let Some(entrypoint) = options
        .entrypoint
        .as_ref()
        .filter(|_| !config.disable_entrypoint_overwrite)
    {
        body["Entrypoint"] = json!([entrypoint]);
    }
    if let Some(command) = &image.command {
        body["Cmd"] = json!(command);
    }
    if let Some(entrypoint) = &image.entrypoint {
        body["Entrypoint"] = json!(entrypoint);
    }
    if let Some(user) = access::user(
        "",
        &config.allowed_users,
        options.user.as_deref().or(image.user.as_deref()),
    )? {
        body["User"] = json!(user);
    }
    let env = plan.public_env(image);
    let health = env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("HEALTHCHECK_TCP_PORT=")?.parse().ok());
    body["Env"] = json!(env);
    wishes.put(&mut body, &plan.names.base);
    if plan.network.together().is_none() {
        let names: Vec<String> = aliases.iter().chain(&options.aliases).cloned().collect();
        plan.network.join(&mut body, &names);
    }
    let name = format!("{}-{}-{index}", plan.names.base, Reference::parse(&image.name).slug());
    let failed = |error| Error::system(format!("start the service {}", image.name), error);
    let id = plan
        .engine
        .create_container(&name, image.platform.as_deref(), &body)
        .await
        .map_err(|error| refused(error, &image.name))?;
    plan.engine
        .start_container(&id)
        .await
        .map_err(|error| refused(error, &image.name))?;
    let container = match plan.task.meeting {
        Meeting::Ports => Some(plan.engine.container(&id).await.map_err(failed)?),
        Meeting::Names | Meeting::Localhost => None,
    };
    let exposed = info
        .config
        .exposed_ports
        .keys()
        .filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    Ok(Started {
        id,
        name,
        image: image.name.clone(),
        aliases,
        port: health.or(exposed.min()),
        given: service.aliases.first().cloned(),
        container,
    })
}

/// What the engine does not make of the job's wishes is the job's fault or the configuration's.
fn refused(error: engine::Error, image: &str) -> Error {
    match error {
        engine::Error::Refused { message, .. } if is_taken(&message) => {
            let message =
                format!("the service {image:?} cannot have its port, somebody else on the machine has it: {message}");
            Error::job(FailureReason::RunnerConfigurationError, message)
        }
        engine::Error::Refused { status: 400, message } => {
            let message = format!("the container engine refuses the service {image:?}: {message}");
            Error::job(FailureReason::RunnerConfigurationError, message)
        }
        other => Error::system(format!("start the service {image}"), other),
    }
}

/// Whether a port of the machine is somebody else's.
pub(super) fn is_taken(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

/// Waits until every service that says where listens there. One that does not is warned of, with its log.
pub(super) async fn wait(plan: &Plan, services: &[Started], console: &Console<'_>, stop: &Stop) -> Result<()> {
    let limit = match plan.config().wait_for_services_timeout {
        Some(seconds) if seconds < 0 => return Ok(()),
        None | Some(0) => WAIT,
        Some(seconds) => seconds.unsigned_abs(),
    };
    let mut asked = Vec::new();
    // How others are is said by their health.
    for service in services.iter().filter(|service| !health::is_asked(service)) {
        if let (Some(port), Some(host)) = (service.port, service.reached_at(plan).await?) {
            asked.push((service, host, port));
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    console
        .line(&format!(
            "Waiting for services to be up and running (timeout {limit} seconds)..."
        ))
        .await;
    let targets = asked.iter().map(|(_, host, port)| (host.clone(), *port)).collect();
    let silent = ask(plan, targets, limit, stop).await?;
    let is_silent = |host: &String, port: u16| silent.iter().any(|(known, number)| known == host && *number == port);
    for (service, _, port) in asked.iter().filter(|(_, host, port)| is_silent(host, *port)) {
        let log = plan.engine.logs(&service.id, LINES).await.unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        console
            .line(&format!(
                "*** WARNING: Service {} probably didn't start properly.\n\nHealth check error:\nnothing listens at port {port} after {limit} seconds\n\n\
                 Service container logs:\n{}\n*********",
                service.image,
                log.trim_end()
            ))
            .await;
    }
    Ok(())
}

/// Lets a guest in the job's network try them; those that do not listen.
async fn ask(plan: &Plan, targets: Vec<(String, u16)>, limit: u64, stop: &Stop) -> Result<Vec<(String, u16)>> {
    let failed = |error| Error::system("wait for the services", error);
    let helper = super::engine::ImageInfo {
        id: plan.guest.image.clone(),
        ..Default::default()
    };
    let mut body = plan.container(Role::Wait, Part::Predefined, &helper)?;
    let mut command = plan.guest.command.clone();
    command.push("hold".to_owned());
    body["Entrypoint"] = json!(command);
    if plan.network.together().is_none() {
        plan.network.join(&mut body, &[]);
    }
    let name = format!("{}-wait-for-service", plan.names.base);
    let id = plan.engine.create_container(&name, None, &body).await.map_err(failed)?;
    plan.engine.start_container(&id).await.map_err(failed)?;
    let work = Work::WaitTcp {
        targets,
        timeout_ms: limit.saturating_mul(1000),
    };
    let (answer, _) = remote::ask(plan.guest_in(&id), &work, stop, &Discard).await?;
    plan.engine.remove_container(&id).await.map_err(failed)?;
    match answer {
        Answer::Waited { silent } => Ok(silent),
        other => other.done().map(|()| Vec::new()),
    }
}

/// With `CI_DEBUG_SERVICES` what services print is put into the job's log, each line with the service's name, until the
/// stop is pulled.
pub(super) async fn follow(plan: &Plan, services: &[Started], output: &Arc<dyn Output>) -> Result<Stop> {
    let end = Stop::new();
    if !plan.task.variable("CI_DEBUG_SERVICES").is_some_and(crate::job::is_true) {
        return Ok(end);
    }
    for service in services {
        let attached = plan.engine.follow(&service.id).await;
        let attached = attached.map_err(|error| Error::system("follow a service's log", error))?;
        let (output, stop) = (Arc::clone(output), end.clone());
        let label = service.aliases.first().unwrap_or(&service.image).clone();
        plan.shared.tasks.spawn("log of a service", async move {
            tokio::select! {
                () = lines(&attached, &label, &*output) => {}
                () = stop.pulled() => {}
            }
        });
    }
    Ok(end)
}

async fn lines(attached: &Attached, label: &str, output: &dyn Output) {
    let mut held = Vec::new();
    loop {
        let bytes = match attached.read().await {
            Ok(Piece::Stdout(bytes) | Piece::Stderr(bytes)) => bytes,
            Ok(Piece::End) | Err(_) => return,
        };
        held.extend_from_slice(&bytes);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let text = format!("[service:{label}] {}", String::from_utf8_lossy(&line));
            output.write(Stream::Stdout, text.as_bytes()).await;
        }
        // A service that prints no line ends must not fill our memory.
        if held.len() > 64 << 10 {
            held.clear();
        }
    }
}
