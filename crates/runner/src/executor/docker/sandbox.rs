//! A job's containers at work.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::action;
use super::build::Build;
use super::engine::{Attached, ImageInfo};
use super::host_config::Part;
use super::names::Role;
use super::predefined::{self, Later};
use super::prepare::{Cleanup, Plan};
use super::remote::{self, Place};
use crate::executor::{
    Command, Contained, Containers, Discard, Ended, Error, Exit, Interactive, Keyboard, Output, Paths, Program,
    PushedFile, Result, Sandbox, Shell, Stop,
};
use crate::guest;
use crate::guest::inside::{Answer, Ready, Script, Work, millis};

/// What `prepare` has made.
pub(super) struct Parts {
    pub(super) plan: Arc<Plan>,
    pub(super) build: Build,
    pub(super) predefined: Later,
    /// Id of the helper image.
    pub(super) helper: String,
    /// Ends those who follow the services' logs.
    pub(super) followers: Stop,
    pub(super) containers: Containers,
}

pub(super) struct DockerSandbox {
    parts: Parts,
    paths: Paths,
    cleanup: Cleanup,
    scripts: AtomicU64,
    /// Connections that keep background processes alive.
    lingering: Mutex<Vec<Attached>>,
}

impl DockerSandbox {
    pub(super) fn new(parts: Parts, cleanup: Cleanup) -> Self {
        let ready = &parts.build.ready;
        let mut paths = parts.plan.paths.clone();
        paths.cache = predefined::cache_folder(&parts.plan, ready.uid);
        if let Some((_, home)) = ready
            .env
            .iter()
            .find(|(key, _)| key == "HOME")
            .filter(|_| ready.home_is_writable)
        {
            paths.home = home.into();
        }
        Self {
            parts,
            paths,
            cleanup,
            scripts: AtomicU64::new(0),
            lingering: Mutex::default(),
        }
    }

    fn ready(&self) -> &Ready {
        &self.parts.build.ready
    }

    /// In the job's container, as its user.
    fn build_place(&self) -> Place<'_> {
        self.parts.build.place(&self.parts.plan)
    }

    /// In the predefined container, as the same user.
    async fn predefined_place(&self, stop: &Stop) -> Result<Place<'_>> {
        let predefined = self.parts.predefined.get(stop).await?;
        Ok(Place {
            user: Some(&self.parts.build.user),
            ..predefined.place(&self.parts.plan)
        })
    }

    async fn run_script(&self, command: &Command, shell: Shell, text: String, output: &dyn Output) -> Result<Ended> {
        let work = Work::Script(Script {
            argv: Vec::new(),
            shell,
            text,
            env: self.ready().script_env(&self.paths, &command.env)?,
            project: self.paths.project.clone(),
            cwd: command.cwd.as_ref().map(|folder| self.paths.project.join(folder)),
            temp: self.paths.temp.clone(),
            number: self.scripts.fetch_add(1, Ordering::Relaxed),
            timeout_ms: command.timeout.map(millis),
            grace_ms: millis(command.grace),
        });
        let (answer, attached) = remote::ask(self.build_place(), &work, &command.stop, output).await?;
        match answer {
            Answer::Ended { exit, lingering } => {
                if let Some(attached) = attached.filter(|_| lingering) {
                    self.lingering
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(attached);
                }
                Ok(Ended { exit, response: None })
            }
            other => Err(other.unexpected()),
        }
    }

    async fn run_guest(&self, command: &Command, request: guest::Request, output: &dyn Output) -> Result<Ended> {
        let env = Ready::guest_env(&self.paths, &command.env)?;
        let timeout_ms = command.timeout.map(millis);
        let mounted = match &request {
            guest::Request::Snapshot(snapshot) => Some(self.mount(&snapshot.from).await?),
            _ => None,
        };
        let place = match &mounted {
            Some(container) => Place {
                user: Some(&self.parts.build.user),
                ..self.parts.plan.guest_in(container)
            },
            None => self.predefined_place(&command.stop).await?,
        };
        let request = Box::new(request);
        let work = Work::Guest {
            request,
            env,
            timeout_ms,
        };
        let (answer, _) = remote::ask(place, &work, &command.stop, output).await?;
        if let Some(container) = mounted {
            let removed = self.parts.plan.engine.remove_container(&container).await;
            removed.map_err(|error| Error::system("remove the container of the snapshot", error))?;
        }
        match answer {
            Answer::Response { exit, response } => Ok(Ended {
                exit,
                response: Some(*response),
            }),
            other => Err(other.unexpected()),
        }
    }

    /// A second predefined container that sees a folder of this machine, to copy it. It is gone before the first script: the folder has
    /// files that no copy gets (ignored ones), and what works in the predefined container follows paths that jobs name.
    async fn mount(&self, folder: &Path) -> Result<String> {
        let plan = &self.parts.plan;
        if !plan.engine.address().is_local() {
            return Err(Error::configuration(
                format!(
                    "{} cannot be copied to a container engine on another machine",
                    folder.display()
                ),
                "use an engine of this machine (a unix socket)",
            ));
        }
        let image = ImageInfo {
            id: self.parts.helper.clone(),
            ..ImageInfo::default()
        };
        let mut body = plan.container(Role::Predefined, Part::Predefined, &image)?;
        let mut command = plan.guest.command.clone();
        command.push("hold".to_owned());
        body["Entrypoint"] = json!(command);
        body["User"] = json!("0:0");
        body["HostConfig"]["NetworkMode"] = json!("none");
        body["HostConfig"]["Mounts"] = json!([{
            "Type": "bind", "ReadOnly": true, "Source": folder, "Target": folder,
        }]);
        let failed = |error| Error::system("mount the folder to copy", error);
        let name = format!("{}-snapshot", plan.names.base);
        let id = plan.engine.create_container(&name, None, &body).await.map_err(failed)?;
        plan.engine.start_container(&id).await.map_err(failed)?;
        Ok(id)
    }

    /// A short piece of work in the predefined container.
    async fn ask(&self, work: &Work) -> Result<Answer> {
        let (answer, _) = remote::ask(self.predefined_place(&Stop::new()).await?, work, &Stop::new(), &Discard).await?;
        Ok(answer)
    }
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn paths(&self) -> &Paths {
        &self.paths
    }

    async fn run(&self, mut command: Command, output: &dyn Output) -> Result<Ended> {
        if command.stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let empty = Program::Script {
            shell: Shell::default(),
            text: String::new(),
        };
        match std::mem::replace(&mut command.program, empty) {
            Program::Script { shell, text } => self.run_script(&command, shell, text, output).await,
            Program::Guest(request) => self.run_guest(&command, *request, output).await,
        }
    }

    async fn interact(&self, what: Interactive, keyboard: Keyboard, output: &dyn Output) -> Result<Exit> {
        let env = self.ready().script_env(&self.paths, &what.env)?;
        let stop = what.stop.clone();
        let work = Work::terminal(&self.paths, what, env);
        let (answer, _) = remote::ask_typing(self.build_place(), &work, &stop, keyboard, output).await?;
        match answer {
            Answer::Ended { exit, .. } => Ok(exit),
            other => Err(other.unexpected()),
        }
    }

    async fn run_container(&self, what: Contained, output: &dyn Output) -> Result<Ended> {
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        action::run(&self.parts.plan, &self.parts.build.id, &what, number, output).await
    }

    fn containers(&self) -> Containers {
        self.parts.containers.clone()
    }

    async fn push(&self, file: PushedFile) -> Result<()> {
        let work = Work::push(&self.paths, &file);
        self.ask(&work).await?.done()
    }

    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        self.ask(&Work::pull(&self.paths, path, limit)).await?.pulled()
    }

    async fn teardown(self: Box<Self>) -> Result<()> {
        let Self {
            parts,
            cleanup,
            lingering,
            paths,
            ..
        } = *self;
        parts.followers.force();
        drop(lingering);
        let mut result = Ok(());
        if parts.plan.volumes.shares_builds {
            // The job's own processes must not write on.
            let build = parts.plan.engine.remove_container(&parts.build.id).await;
            result = build.map_err(|error| Error::system("remove the job's container", error));
            let work = Work::Remove(vec![paths.project.clone(), paths.temp.clone()]);
            let removed = async {
                let place = parts.predefined.get(&Stop::new()).await?.place(&parts.plan);
                remote::ask(place, &work, &Stop::new(), &Discard).await?.0.done()
            };
            result = result.and(removed.await);
        }
        parts.predefined.settle().await;
        result.and(cleanup.run().await)
    }
}
