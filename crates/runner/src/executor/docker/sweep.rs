//! Removing what belongs to sandboxes.

use std::collections::BTreeSet;

use super::engine::{Engine, Force, Summary};
use super::names::{HOST, OWNER, SANDBOX};
use super::owner::Owner;
use crate::executor::{Error, Result, Swept};

/// Everything of one sandbox, or of all.
struct Found {
    containers: Vec<Summary>,
    networks: Vec<Summary>,
    volumes: Vec<Summary>,
    /// Built for the job.
    images: Vec<Summary>,
}

async fn find(engine: &Engine, label: &str) -> Result<Found> {
    let failed = |error| Error::system("ask the container engine what is left of jobs", error);
    let (containers, networks, volumes, images) = tokio::join!(
        engine.containers(label),
        engine.networks(label),
        engine.volumes(label),
        engine.images(label)
    );
    Ok(Found {
        containers: containers.map_err(failed)?,
        networks: networks.map_err(failed)?,
        volumes: volumes.map_err(failed)?,
        images: images.map_err(failed)?,
    })
}

/// Removes a sandbox: its containers with all processes, then its networks and volumes. Idempotent. Gives how many
/// containers there were.
pub(super) async fn remove(engine: &Engine, sandbox: &str) -> Result<usize> {
    let found = find(engine, &format!("{SANDBOX}={sandbox}")).await?;
    let failed = |what: &str, name: &str| {
        let what = format!("remove the {what} {name}");
        move |error| Error::system(what, error)
    };
    let removals = found.containers.iter().map(|container| async {
        let name = container
            .names
            .first()
            .map_or(container.id.as_str(), |name| name.trim_start_matches('/'));
        engine
            .remove_container(&container.id)
            .await
            .map_err(failed("container", name))
    });
    let mut result = futures_util::future::join_all(removals)
        .await
        .into_iter()
        .collect::<Result<()>>();
    let networks = found.networks.iter().map(|network| async {
        let removed = engine.remove_network(&network.id).await;
        removed.map_err(failed("network", &network.name))
    });
    let volumes = found.volumes.iter().map(|volume| async {
        let removed = engine.remove_volume(&volume.name).await;
        removed.map_err(failed("volume", &volume.name))
    });
    let (networks, volumes) = tokio::join!(
        futures_util::future::join_all(networks),
        futures_util::future::join_all(volumes)
    );
    for removed in networks.into_iter().chain(volumes) {
        result = result.and(removed);
    }
    for image in &found.images {
        let removed = engine.remove_image(&image.id, Force::Yes).await;
        result = result.and(removed.map_err(failed("image", &image.id)));
    }
    result.map(|()| found.containers.len())
}

/// Removes the sandboxes of runner processes of this machine that are gone.
pub(super) async fn sweep(engine: &Engine, owner: &Owner) -> Result<Swept> {
    let found = find(engine, SANDBOX).await?;
    let mut dead = BTreeSet::new();
    let mut locks = BTreeSet::new();
    for one in found.containers.iter().chain(&found.networks).chain(&found.volumes) {
        let label = |key: &str| one.labels.get(key).map(String::as_str).unwrap_or_default();
        let (sandbox, lock) = (label(SANDBOX), label(OWNER));
        if !sandbox.is_empty() && !lock.is_empty() && owner.is_dead(label(HOST), lock) {
            dead.insert(sandbox.to_owned());
            locks.insert(lock.to_owned());
        }
    }
    let mut swept = Swept::default();
    // Whoever makes an image writes what he likes into its labels: it names itself, and nothing else that is to go.
    for image in &found.images {
        let label = |key: &str| image.labels.get(key).map(String::as_str).unwrap_or_default();
        let lock = label(OWNER);
        if !lock.is_empty() && owner.is_dead(label(HOST), lock) && !dead.contains(label(SANDBOX)) {
            let removed = engine.remove_image(&image.id, Force::Yes).await;
            removed.map_err(|error| Error::system(format!("remove the image {}", image.id), error))?;
        }
    }
    for sandbox in dead {
        swept.processes += remove(engine, &sandbox).await?;
        swept.sandboxes += 1;
    }
    for lock in locks {
        // A lock file is ours by its name only; the label could say anything.
        let path = std::path::Path::new(&lock);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("docker-") && name.ends_with(".lock") {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(swept)
}

/// Names of all containers, networks, volumes and images that belong to sandboxes.
pub(super) async fn audit(engine: &Engine) -> Result<Vec<String>> {
    let found = find(engine, SANDBOX).await?;
    let name = |container: &Summary| container.names.first().cloned().unwrap_or_else(|| container.id.clone());
    let containers = found
        .containers
        .iter()
        .map(|one| format!("container {}", name(one).trim_start_matches('/')));
    let networks = found.networks.iter().map(|one| format!("network {}", one.name));
    let volumes = found.volumes.iter().map(|one| format!("volume {}", one.name));
    let images = found.images.iter().map(|one| format!("image {}", one.id));
    Ok(containers.chain(networks).chain(volumes).chain(images).collect())
}
