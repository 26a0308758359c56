//! The container whose network interfaces are those of the job's container and its services: each finds the others at `localhost`,
//! as CircleCI's containers do. Their names lead there too.

use serde_json::json;

use super::build::identify;
use super::engine::ImageInfo;
use super::host_config::Part;
use super::names::Role;
use super::prepare::Plan;
use crate::executor::{Error, Result};

/// Starts it. `names` are all those of services.
pub(super) async fn start(plan: &Plan, container: &str, names: impl Iterator<Item = &String>) -> Result<()> {
    let image = ImageInfo {
        id: plan.guest.image.clone(),
        ..ImageInfo::default()
    };
    let mut body = plan.container(Role::Network, Part::Predefined, &image)?;
    let mut command = plan.guest.command.clone();
    command.push("hold".to_owned());
    body["Entrypoint"] = json!(command);
    let names: Vec<String> = names.cloned().collect();
    let mut hosts = plan.config().extra_hosts.clone();
    hosts.extend(names.iter().map(|name| format!("{name}:127.0.0.1")));
    body["HostConfig"]["ExtraHosts"] = json!(hosts);
    let all: Vec<String> = std::iter::once("build".to_owned()).chain(names).collect();
    identify(plan, &mut body, &all, &[]);
    let failed = |error| Error::system("make the network interfaces of the job's containers", error);
    let id = plan
        .engine
        .create_container(container, None, &body)
        .await
        .map_err(failed)?;
    plan.engine.start_container(&id).await.map_err(failed)
}
