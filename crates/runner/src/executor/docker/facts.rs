//! What a job's expressions may ask of its containers.

use std::collections::BTreeMap;

use super::build::Build;
use super::engine::Container;
use super::ports;
use super::prepare::Plan;
use super::services::Started;
use crate::executor::{ContainerFacts, Containers, Error, Result};
use tasuki_model::plan::Meeting;

/// Of a sandbox that is up.
pub(super) async fn of(plan: &Plan, build: &Build, services: &[Started]) -> Result<Containers> {
    if plan.task.meeting != Meeting::Ports {
        return Ok(Containers::default());
    }
    let job = match &plan.task.image {
        None => None,
        Some(_) => {
            let container = plan.engine.container(&build.id).await;
            let container = container.map_err(|error| Error::system("look at the job's container", error))?;
            Some(one(plan, &build.id, &container))
        }
    };
    let services = services.iter().filter_map(|service| {
        let container = service.container.as_ref()?;
        Some((service.given.clone()?, one(plan, &service.id, container)))
    });
    Ok(Containers {
        job,
        services: services.collect(),
    })
}

fn one(plan: &Plan, id: &str, container: &Container) -> ContainerFacts {
    let mut ports = BTreeMap::new();
    for (number, _, near) in ports::of(container) {
        // Of two protocols the first, which is tcp.
        ports.entry(number.to_string()).or_insert_with(|| near.to_string());
    }
    ContainerFacts {
        id: id.to_owned(),
        network: plan.network.mode().to_owned(),
        ports,
    }
}
