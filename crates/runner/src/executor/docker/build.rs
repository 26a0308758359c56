//! The container that the job's scripts run in.
//!
//! It is kept alive by the guest, which stands behind the image's entrypoint: the command is `sh -c 'exec … guest hold'`,
//! and the same line comes on standard input for images whose entrypoint is a shell that reads it. So an entrypoint does its
//! work once, and what it exports is in the environment of every script. It has to end with `exec "$@"` or open a shell.

use std::time::Duration;

use serde_json::{Value, json};
use tasuki_model::plan::Image;
use tasuki_model::reason::FailureReason;

use super::engine;
use super::engine::{Attached, ImageInfo, Piece};
use super::host_config::Part;
use super::line::Slot;
use super::names::Role;
use super::prepare::{Main, Plan};
use super::remote::Place;
use super::services::{self, Started};
use crate::executor::access;
use crate::executor::{Error, Output, Result, Stop, Stream};
use crate::guest::inside::{READY, Ready};

/// How long an entrypoint may take to hand over.
const PATIENCE: Duration = Duration::from_secs(300);

/// The build container, running.
pub(super) struct Build {
    pub(super) id: String,
    pub(super) ready: Ready,
    /// `uid:gid` of scripts.
    pub(super) user: String,
    pub(super) privileged: bool,
    /// The line to its guest.
    pub(super) line: Slot,
}

impl Build {
    /// In it, as its own user with all of its groups.
    pub(super) fn place<'a>(&'a self, plan: &'a Plan) -> Place<'a> {
        Place {
            privileged: self.privileged,
            line: Some(&self.line),
            ..plan.guest_in(&self.id)
        }
    }
}

/// The build container, not yet started.
pub(super) struct Created {
    id: String,
    privileged: bool,
    /// What the guest is started by.
    line: String,
    attached: Attached,
}

/// Makes it.
pub(super) async fn create(plan: &Plan, main: &Main, info: &ImageInfo, services: &[Started]) -> Result<Created> {
    let (config, image, options) = (plan.config(), &main.image, &main.wishes.options);
    let privileged = access::privileged(config.privileged, &config.allowed_privileged_images, &image.name);
    let line = format!("exec {} hold", plan.guest.command.join(" "));
    let mut body = plan.container(Role::Build, Part::Build, info)?;
    let is_kept = |label: &String| info.config.labels.get(label).is_some_and(|value| value == "true");
    let is_kept = config.disable_entrypoint_overwrite || image.entrypoint_label.as_ref().is_some_and(is_kept);
    body["Cmd"] = match image.command.as_deref() {
        // What the job wants to have run in its container runs beside its scripts.
        Some(command) if !command.is_empty() => {
            let beside = ["sh", "-c", &format!("\"$@\" </dev/null & {line}"), "sh"];
            json!(
                beside
                    .into_iter()
                    .chain(command.iter().map(String::as_str))
                    .collect::<Vec<_>>()
            )
        }
        _ => json!(["sh", "-c", line]),
    };
    if let Some(entrypoint) = image.entrypoint.as_ref().filter(|_| !is_kept) {
        body["Entrypoint"] = json!(entrypoint);
    }
    if let Some(user) = access::user(
        &config.user,
        &config.allowed_users,
        options.user.as_deref().or(image.user.as_deref()),
    )? {
        body["User"] = json!(user);
    }
    body["Env"] = json!(plan.public_env(image));
    body["HostConfig"]["Privileged"] = json!(privileged);
    let flags = &plan.shared.settings.feature_flags;
    if plan.task.flag("FF_USE_INIT_WITH_DOCKER_EXECUTOR", flags, false) {
        body["HostConfig"]["Init"] = json!(true);
    }
    for (key, value) in [
        ("OpenStdin", true),
        ("StdinOnce", true),
        ("AttachStdin", true),
        ("AttachStdout", true),
    ] {
        body[key] = json!(value);
    }
    if plan.network.together().is_none() {
        let names: Vec<String> = std::iter::once("build".to_owned())
            .chain(options.aliases.iter().cloned())
            .collect();
        identify(plan, &mut body, &names, services);
    }
    main.wishes.put(&mut body, &plan.names.base);
    let name = format!("{}-build", plan.names.base);
    let id = plan
        .engine
        .create_container(&name, image.platform.as_deref(), &body)
        .await
        .map_err(refused)?;
    let attached = plan
        .engine
        .attach(&id)
        .await
        .map_err(|error| Error::system("attach to the job's container", error))?;
    Ok(Created {
        id,
        privileged,
        line,
        attached,
    })
}

/// Gives a container its place in the network.
pub(super) fn identify(plan: &Plan, body: &mut Value, names: &[String], services: &[Started]) {
    let config = plan.config();
    if !config.hostname.is_empty() {
        body["Hostname"] = json!(config.hostname);
    }
    plan.network.join(body, names);
    let mut links = config.links.clone();
    if plan.network.needs_links() {
        links.extend(services.iter().flat_map(Started::links));
    }
    plan.network.link(body, &links);
    plan.network.address(body, &config.mac_address);
}

/// Starts it, passes on what its entrypoint prints, and waits until the guest holds it.
pub(super) async fn start(
    created: Created,
    plan: &Plan,
    image: &Image,
    stop: &Stop,
    output: &dyn Output,
) -> Result<Build> {
    let Created {
        id,
        privileged,
        line,
        attached,
    } = created;
    plan.engine.start_container(&id).await.map_err(refused)?;
    // An image without a shell to read it says so by ending.
    let _ = attached.write(format!("{line}\n").as_bytes()).await;
    let read = tokio::select! {
        read = tokio::time::timeout(PATIENCE, read_ready(&attached, output)) => read,
        () = stop.pulled() => return Err(Error::Stopped),
    };
    let ready = match read {
        Ok(Ok(Some(ready))) => ready,
        Ok(Ok(None)) => return Err(ended(plan, &id, image).await),
        Ok(Err(error)) => return Err(Error::system("hear the job's container", error)),
        Err(_) => {
            let message = format!(
                "the entrypoint of the image {:?} did not hand over within {} s: it has to end with exec \"$@\" or open a shell; \
                 set image:entrypoint: [\"\"] to go without it",
                image.name,
                PATIENCE.as_secs()
            );
            return Err(Error::job(FailureReason::ScriptFailure, message));
        }
    };
    // Where the operator wants the container's own output in a log of the engine's, it is not made unreadable.
    let line = if plan.config().log_options.is_empty() {
        Slot::open(attached, &plan.shared.tasks).await?
    } else {
        Slot::closed(attached, &plan.shared.tasks)
    };
    Ok(Build {
        id,
        user: format!("{}:{}", ready.uid, ready.gid),
        ready,
        privileged,
        line,
    })
}

/// What the engine does not make of the job's wishes is the job's fault or the configuration's.
fn refused(error: engine::Error) -> Error {
    match error {
        engine::Error::Refused { message, .. }
            if message.contains("executable file not found") || message.contains("no such file or directory") =>
        {
            let message = format!("the image has no shell, or an entrypoint that cannot be started: {message}");
            Error::job(FailureReason::ScriptFailure, message)
        }
        engine::Error::Refused { message, .. } if message.contains("unable to find user") => {
            Error::job(FailureReason::ScriptFailure, message)
        }
        engine::Error::Refused { message, .. } if services::is_taken(&message) => {
            let message =
                format!("the job's container cannot have its port, somebody else on the machine has it: {message}");
            Error::job(FailureReason::RunnerConfigurationError, message)
        }
        engine::Error::Refused { status: 400, message } => {
            let message = format!("the container engine refuses the job's container: {message}");
            Error::job(FailureReason::RunnerConfigurationError, message)
        }
        other => Error::system("start the job's container", other),
    }
}

async fn ended(plan: &Plan, id: &str, image: &Image) -> Error {
    let state = plan.engine.container(id).await.map(|container| container.state);
    let code = state.as_ref().map_or(-1, |state| state.exit_code);
    if state.is_ok_and(|state| state.oom_killed) {
        let message = "the job's container was killed for want of memory before the first script";
        return Error::job(FailureReason::ScriptFailure, message);
    }
    let message = format!(
        "the container of the image {:?} ended with exit code {code} before the first script: its entrypoint failed, or does not \
         run what it is given; set image:entrypoint: [\"\"] to go without it",
        image.name
    );
    Error::job(FailureReason::ScriptFailure, message)
}

/// Passes output on until the line that says that it is ready. `None`: it ended before.
pub(super) async fn read_ready(attached: &Attached, output: &dyn Output) -> std::io::Result<Option<Ready>> {
    let mut held = Vec::new();
    loop {
        match attached.read().await? {
            Piece::End => {
                output.write(Stream::Stdout, &held).await;
                return Ok(None);
            }
            Piece::Stderr(bytes) => output.write(Stream::Stderr, &bytes).await,
            Piece::Stdout(bytes) => held.extend_from_slice(&bytes),
        }
        let at = held.windows(READY.len()).position(|window| window == READY);
        if let Some(at) = at {
            let line = &held[at + READY.len()..];
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let ready = serde_json::from_slice(&line[..end])?;
                output.write(Stream::Stdout, &held[..at]).await;
                return Ok(Some(ready));
            }
        } else {
            // All but what may be the beginning of the line.
            let whole = held.len().saturating_sub(READY.len());
            output.write(Stream::Stdout, &held[..whole]).await;
            held.drain(..whole);
        }
    }
}
