//! Ports of services at `localhost` of steps that have no container of their own: those find a service where the machine would have
//! it.

use serde_json::json;

use super::build::read_ready;
use super::console::Console;
use super::engine::{Container, ImageInfo};
use super::host_config::Part;
use super::names::Role;
use super::prepare::Plan;
use super::services::Started;
use crate::executor::{Collected, Error, Result, Stop, Stream};

/// Port of the container, its protocol, port of the machine.
type Bound = (u16, String, u16);

/// The ports of a container that the machine passes on.
pub(super) fn of(container: &Container) -> Vec<Bound> {
    let ports = container.network_settings.ports.iter();
    let all = ports.filter_map(|(key, bindings)| {
        let (number, protocol) = key.split_once('/')?;
        let binding = bindings.as_ref()?.first()?;
        Some((
            number.parse().ok()?,
            protocol.to_owned(),
            binding.host_port.parse().ok()?,
        ))
    });
    all.collect()
}

/// Starts a guest in the network of the job's container that passes them on, where there are some.
pub(super) async fn pass_on(
    plan: &Plan,
    build: &str,
    services: &[Started],
    console: &Console<'_>,
    stop: &Stop,
) -> Result<()> {
    let mut ways = Vec::new();
    for service in services {
        let bound = service.container.as_ref().map(of).unwrap_or_default();
        let Some(host) = service.reached_at(plan).await?.filter(|_| !bound.is_empty()) else {
            continue;
        };
        for (port, protocol, near) in bound {
            if protocol == "tcp" {
                ways.push(format!("{near}={host}:{port}"));
            } else {
                let name = &service.image;
                let text = format!(
                    "WARNING: port {port}/{protocol} of the service {name} is at the machine's port {near}, and not at localhost"
                );
                console.line(&text).await;
            }
        }
    }
    if ways.is_empty() {
        return Ok(());
    }
    let what = "pass ports of services on";
    let failed = |error| Error::system(what, error);
    let image = ImageInfo {
        id: plan.guest.image.clone(),
        ..ImageInfo::default()
    };
    let mut body = plan.container(Role::Ports, Part::Predefined, &image)?;
    let mut command = plan.guest.command.clone();
    command.push("forward".to_owned());
    command.extend(ways);
    body["Entrypoint"] = json!(command);
    body["AttachStdout"] = json!(true);
    body["AttachStderr"] = json!(true);
    let host = &mut body["HostConfig"];
    host["NetworkMode"] = json!(format!("container:{build}"));
    if let Some(host) = host.as_object_mut() {
        for key in ["Dns", "DnsSearch", "ExtraHosts"] {
            host.remove(key);
        }
    }
    let name = format!("{}-ports", plan.names.base);
    let id = plan.engine.create_container(&name, None, &body).await.map_err(failed)?;
    let attached = plan.engine.attach(&id).await.map_err(failed)?;
    plan.engine.start_container(&id).await.map_err(failed)?;
    let said = Collected::default();
    let read = tokio::select! {
        read = read_ready(&attached, &said) => read,
        () = stop.pulled() => return Err(Error::Stopped),
    };
    match read {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let said = said.of(Stream::Stderr);
            Err(Error::system(what, String::from_utf8_lossy(&said).trim().to_owned()))
        }
        Err(error) => Err(Error::system(what, error)),
    }
}
