//! Services beside the job.

use std::collections::BTreeSet;

use tasuki_model::plan::{Image, Service, Variable};
use tasuki_model::reason::FailureReason;

use super::super::names::{is_host, is_label};
use super::super::settings::Settings;
use super::names::{BUILD, HELPER, INIT};
use crate::config::kubernetes::KubernetesService;
use crate::executor::reference::Reference;
use crate::executor::{Error, Result, Task, access};

/// Variable of a service that says at which port it listens once it is ready.
pub(in super::super) const HEALTH: &str = "HEALTHCHECK_TCP_PORT";

/// A service with its container's name and the hosts that it is reached as.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) service: Service,
    pub(super) container: String,
    pub(super) hosts: Vec<String>,
}

/// The runner's services, then the job's.
///
/// # Errors
/// One is not allowed, or two say that they listen at the same port: all of them share the pod's address.
pub(super) fn wanted(settings: &Settings, task: &Task, warnings: &mut Vec<String>) -> Result<Vec<Wanted>> {
    let config = &settings.config;
    let own = config.services.iter().filter(|service| !service.name.is_empty());
    let own: Vec<Service> = own.map(|service| of_config(service, task)).collect();
    let known: Vec<String> = own.iter().map(|service| service.image.name.clone()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let all: Vec<Service> = own.into_iter().chain(task.services.iter().cloned()).collect();
    let mut taken: BTreeSet<String> = [BUILD, HELPER, INIT].map(str::to_owned).into();
    let mut unnamed = 0;
    let mut wanted = Vec::new();
    let mut ports: Vec<(String, u16)> = Vec::new();
    for service in all {
        let image = &service.image.name;
        access::check_image("allowed_services", &config.allowed_services, image, &known)?;
        let named = service
            .aliases
            .iter()
            .find(|alias| is_label(alias) && !taken.contains(*alias));
        let container = named.cloned().unwrap_or_else(|| next(&mut unnamed, &taken));
        taken.insert(container.clone());
        for port in own_ports(&service.image) {
            if let Some((other, _)) = ports.iter().find(|(_, taken)| *taken == port) {
                return Err(shared_port(port, other, &container));
            }
            ports.push((container.clone(), port));
        }
        let hosts = hosts(&service, warnings);
        wanted.push(Wanted {
            service,
            container,
            hosts,
        });
    }
    Ok(wanted)
}

/// Ports at which a service says that it listens, each once.
fn own_ports(image: &Image) -> BTreeSet<u16> {
    let health = image.variables.iter().rev().find(|own| own.key == HEALTH);
    let health = health.and_then(|own| own.value.trim().parse().ok());
    image.ports.iter().map(|port| port.number).chain(health).collect()
}

fn shared_port(port: u16, one: &str, other: &str) -> Error {
    let message = format!(
        "the services {one} and {other} both listen at port {port}: services of a job share the pod's address, so only one of \
         them can; have one listen at another port, or run it in a job of its own"
    );
    Error::job(FailureReason::RunnerConfigurationError, message)
}

/// `svc-0`, `svc-1`, …
fn next(unnamed: &mut usize, taken: &BTreeSet<String>) -> String {
    loop {
        let name = format!("svc-{unnamed}");
        *unnamed += 1;
        if !taken.contains(&name) {
            return name;
        }
    }
}

fn of_config(service: &KubernetesService, task: &Task) -> Service {
    let lookup = |name: &str| task.variable(name).unwrap_or_default().to_owned();
    Service {
        image: Image {
            name: crate::job::expand(&service.name, lookup),
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
    }
}

/// Names made of the image and those that the service was given. What is no host name cannot stand in `/etc/hosts`.
fn hosts(service: &Service, warnings: &mut Vec<String>) -> Vec<String> {
    let made = Reference::parse(&service.image.name).aliases();
    let mut hosts: Vec<String> = made.into_iter().filter(|name| is_host(name)).collect();
    for alias in &service.aliases {
        if !is_host(alias) {
            warnings.push(format!(
                "the alias {alias:?} of the service {} is no host name (small letters, digits, `-` and `.`): the job cannot \
                 reach it by that name",
                service.image.name
            ));
        } else if !hosts.contains(alias) {
            hosts.push(alias.clone());
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: GK-SVCRES-08
    #[test]
    fn aliases_that_are_no_host_names_are_said_and_kept_out() {
        let service = Service {
            image: Image {
                name: "tutum/wordpress:latest".to_owned(),
                ..Image::default()
            },
            aliases: ["db", "MY_relational-database.12", "a.b"].map(str::to_owned).to_vec(),
        };
        let mut warnings = Vec::new();
        assert_eq!(hosts(&service, &mut warnings), ["tutum-wordpress", "db", "a.b"]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("MY_relational-database.12"), "{warnings:?}");
    }
}
