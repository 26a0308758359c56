//! The container of the guest: the helper image, the job's volumes, its network, no privileges.
//!
//! It makes the job's folders as it starts: root's, as most images want them. So that is done while the build container
//! still comes up. Another user's are made when it is known who that is. Whoever needs it waits for it ([`Later`]).

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinHandle;

use super::build::{Build, read_ready};
use super::engine::{Attached, ImageInfo};
use super::executor::GuestNetwork;
use super::host_config::Part;
use super::line::Slot;
use super::names::Role;
use super::prepare::Plan;
use super::remote::{self, Place};
use crate::executor::{Collected, Discard, Error, Result, Stop, Stream};
use crate::guest::inside::{Folder, Work};

/// The container, not yet started.
pub(super) struct Created {
    id: String,
    attached: Attached,
}

/// The container, running.
pub(super) struct Predefined {
    pub(super) id: String,
    /// The line to its guest.
    pub(super) line: Slot,
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
    for key in ["OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"] {
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

/// Starts it, and waits until the folders are there.
async fn start(created: Created, plan: &Plan, stop: &Stop) -> Result<Predefined> {
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
        Ok(Some(_)) => {
            let line = Slot::open(attached, &plan.shared.tasks).await?;
            Ok(Predefined { id, line })
        }
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

impl Predefined {
    /// As root.
    pub(super) fn place<'a>(&'a self, plan: &'a Plan) -> Place<'a> {
        Place {
            line: Some(&self.line),
            ..plan.guest_in(&self.id)
        }
    }
}

/// The container while it comes up: a script need not wait for it.
pub(super) struct Later {
    started: OnceCell<Predefined>,
    starting: Mutex<Option<JoinHandle<Option<Result<Predefined>>>>>,
    /// Ends the start.
    stop: Stop,
}

impl Later {
    /// Starts it.
    pub(super) fn begin(created: Created, plan: Arc<Plan>) -> Self {
        let (stop, tasks) = (Stop::new(), plan.shared.tasks.clone());
        let until = stop.clone();
        let work = async move { start(created, &plan, &until).await };
        Self {
            started: OnceCell::new(),
            starting: Mutex::new(Some(tasks.spawn("start of the predefined container", work))),
            stop,
        }
    }

    /// The container, as soon as the folders are there.
    ///
    /// # Errors
    /// It did not start, or the stop was pulled.
    pub(super) async fn get(&self, stop: &Stop) -> Result<&Predefined> {
        let started = self.started.get_or_try_init(|| async {
            let mut starting = self.starting.lock().await;
            let gone = || Error::system("start the predefined container", "it has failed before");
            let ended = starting.as_mut().ok_or_else(gone)?.await;
            *starting = None;
            ended.ok().flatten().unwrap_or_else(|| Err(gone()))
        });
        tokio::select! {
            started = started => started,
            () = stop.pulled() => Err(Error::Stopped),
        }
    }

    /// Waits until nothing of the start is under way. What is not up by then never will be.
    pub(super) async fn settle(&self) {
        self.stop.graceful();
        // Whether it came up is nobody's matter any more.
        let _ = self.get(&Stop::new()).await;
    }
}

/// The folders are there, and whoever runs the scripts owns them. Root's are made by whichever of the two containers is up:
/// that of the job is.
pub(super) async fn give_folders(plan: &Plan, later: &Later, build: &Build, stop: &Stop) -> Result<()> {
    let ready = &build.ready;
    let is_root = (ready.uid, ready.gid) == (0, 0);
    if is_root && !plan.volumes.shares_builds && !later.started.initialized() {
        let place = build.place(plan);
        // It may lack the rights, where the configuration takes some away.
        if ask_all(place, first_work(plan, 0, 0), stop).await.is_ok() {
            return Ok(());
        }
    }
    let predefined = later.get(stop).await?;
    if is_root {
        return Ok(());
    }
    ask_all(predefined.place(plan), first_work(plan, ready.uid, ready.gid), stop).await
}

async fn ask_all(place: Place<'_>, all: Vec<Work>, stop: &Stop) -> Result<()> {
    for work in all {
        remote::ask(place, &work, stop, &Discard).await?.0.done()?;
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
