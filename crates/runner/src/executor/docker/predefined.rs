//! The container of the guest: the helper image, the job's volumes, its network, no privileges.
//!
//! It makes the job's folders as it starts: root's, as most images want them. So that is done while the build container
//! still comes up. Another user's are made when it is known who that is.

use std::path::PathBuf;

use serde_json::json;

use super::build::read_ready;
use super::engine::{Attached, ImageInfo};
use super::executor::GuestNetwork;
use super::host_config::Part;
use super::names::Role;
use super::prepare::Plan;
use super::remote;
use crate::executor::{Collected, Discard, Error, Result, Stop, Stream};
use crate::guest::inside::{Folder, Ready, Work};

/// The container, not yet started.
pub(super) struct Created {
    id: String,
    attached: Attached,
}

/// Makes it.
pub(super) async fn create(plan: &Plan, helper: &ImageInfo) -> Result<Created> {
    let mut body = plan.container(Role::Predefined, Part::Predefined, helper)?;
    let mut command = plan.guest.command.clone();
    command.push("hold".to_owned());
    let first = serde_json::to_string(&first_work(plan, 0, 0));
    command.push(first.map_err(|error| Error::system("write the work down", error))?);
    body["Entrypoint"] = json!(command);
    body["Cmd"] = json!([]);
    body["User"] = json!("0:0");
    body["WorkingDir"] = json!("/");
    for key in ["AttachStdout", "AttachStderr"] {
        body[key] = json!(true);
    }
    match plan.shared.settings.guest_network {
        GuestNetwork::Host => body["HostConfig"]["NetworkMode"] = json!("host"),
        GuestNetwork::Job => plan.network.join(&mut body, &[]),
    }
    let failed = |error| Error::system("make the predefined container", error);
    let name = format!("{}-predefined", plan.names.base);
    let id = plan.engine.create_container(&name, None, &body).await.map_err(failed)?;
    let attached = plan.engine.attach(&id).await.map_err(failed)?;
    Ok(Created { id, attached })
}

/// Starts it, and waits until the folders are there. Gives its id.
pub(super) async fn start(created: Created, plan: &Plan, stop: &Stop) -> Result<String> {
    let Created { id, attached } = created;
    let what = "start the predefined container";
    plan.engine
        .start_container(&id)
        .await
        .map_err(|error| Error::system(what, error))?;
    let said = Collected::default();
    let read = tokio::select! {
        read = read_ready(&attached, &said) => read,
        () = stop.pulled() => return Err(Error::Stopped),
    };
    match read {
        Ok(Some(_)) => Ok(id),
        Ok(None) => {
            let said = said.of(Stream::Stderr);
            Err(Error::system(
                what,
                format!("it ended: {}", String::from_utf8_lossy(&said).trim()),
            ))
        }
        Err(error) => Err(Error::system(what, error)),
    }
}

/// Gives the folders to whoever runs the scripts, where that is not root.
pub(super) async fn give_folders(plan: &Plan, predefined: &str, ready: &Ready, stop: &Stop) -> Result<()> {
    if (ready.uid, ready.gid) == (0, 0) {
        return Ok(());
    }
    for work in first_work(plan, ready.uid, ready.gid) {
        remote::ask(plan.guest_in(predefined), &work, stop, &Discard)
            .await?
            .0
            .done()?;
    }
    Ok(())
}

/// What has to be done before the first stage: the folders of that user are there, and empty.
fn first_work(plan: &Plan, uid: u32, gid: u32) -> Vec<Work> {
    let paths = &plan.paths;
    let folder = |path: PathBuf, mode: u32| Folder { path, mode, uid, gid };
    let mut folders = Vec::new();
    if let Some(parent) = paths.project.parent().filter(|_| !plan.volumes.shares_builds) {
        // The job may remove its own folder, and gets it back.
        folders.push(folder(parent.to_owned(), 0o755));
    }
    folders.push(folder(paths.project.clone(), 0o755));
    for path in [paths.temp.clone(), paths.temp.join("home"), paths.temp.join("tmp")] {
        folders.push(folder(path, 0o700));
    }
    folders.push(folder(cache_folder(plan, uid), 0o755));
    let mut work = vec![Work::Make(folders)];
    if plan.volumes.shares_builds {
        // What another life left.
        work.insert(0, Work::Remove(vec![paths.project.clone(), paths.temp.clone()]));
    }
    work
}

/// Each user has caches of its own: another's files could be neither replaced nor trusted.
pub(super) fn cache_folder(plan: &Plan, uid: u32) -> PathBuf {
    if uid == 0 {
        plan.paths.cache.clone()
    } else {
        plan.paths.cache.join(format!("uid-{uid}"))
    }
}
