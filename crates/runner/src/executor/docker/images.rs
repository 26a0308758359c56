//! Getting the image of a container.

use tasuki_model::plan::{Image, PullPolicy};
use tasuki_model::reason::FailureReason;

use super::auth::{self, Helpers};
use super::console::Console;
use super::engine::{self, Engine, ImageInfo, Pull};
use super::executor::Settings;
use crate::executor::access;
use crate::executor::reference::Reference;
use crate::executor::{Error, Result, Stop, Task};

/// Makes sure that an image is here, by the first policy that works. Its id is what containers are made of.
pub(super) async fn provide(
    engine: &Engine,
    settings: &Settings,
    task: &Task,
    image: &Image,
    console: &Console<'_>,
    stop: &Stop,
) -> Result<ImageInfo> {
    let config = &settings.config;
    let policies = access::pull_policies(
        &image.pull_policy,
        &config.pull_policy.list(),
        &config.allowed_pull_policies,
    )?;
    let mut last = String::new();
    for (number, policy) in policies.iter().enumerate() {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        if number > 0 {
            console
                .line(&format!(
                    "WARNING: {last}; trying the pull policy {} (attempt {} of {})",
                    access::word(*policy),
                    number + 1,
                    policies.len()
                ))
                .await;
        }
        let tried = tokio::select! {
            tried = by_policy(engine, settings, task, image, *policy, console) => tried,
            () = stop.pulled() => return Err(Error::Stopped),
        };
        match tried {
            Ok(found) => return Ok(found),
            Err(Failed::Engine(error)) => return Err(Error::system("ask the container engine for an image", error)),
            Err(Failed::Pull(message)) => last = message,
        }
    }
    Err(Error::job(FailureReason::ImagePullFailure, last))
}

enum Failed {
    /// Nothing to do with this image.
    Engine(engine::Error),
    /// The next policy may do better.
    Pull(String),
}

async fn by_policy(
    engine: &Engine,
    settings: &Settings,
    task: &Task,
    image: &Image,
    policy: PullPolicy,
    console: &Console<'_>,
) -> std::result::Result<ImageInfo, Failed> {
    let reference = Reference::parse(&image.name);
    let name = reference.to_pull();
    if policy != PullPolicy::Always {
        let here = engine.image(&name).await.map_err(Failed::Engine)?;
        let here = here.filter(|info| fits(info, image.platform.as_deref()));
        match here {
            Some(info) => {
                console
                    .line(&format!(
                        "Using locally found image version due to {:?} pull policy",
                        access::word(policy)
                    ))
                    .await;
                used(console, &image.name, &info).await;
                return Ok(info);
            }
            None if policy == PullPolicy::Never => {
                return Err(Failed::Pull(format!(
                    "the image {:?} is not on this machine, and the pull policy is never",
                    image.name
                )));
            }
            None => {}
        }
    }
    let mut warnings = Vec::new();
    let helpers = Helpers {
        binary: &settings.binary,
        path: &settings.surroundings.path,
        home: settings.surroundings.home.as_deref(),
    };
    let login = auth::find(
        &reference,
        task,
        settings.surroundings.config_dir.as_deref(),
        &helpers,
        &mut warnings,
    )
    .await;
    for warning in warnings {
        console.line(&format!("WARNING: {warning}")).await;
    }
    if let Some(login) = &login {
        console
            .line(&format!("Authenticating with credentials from {}", login.source))
            .await;
    }
    console.line(&format!("Pulling docker image {} ...", image.name)).await;
    let pull = Pull {
        image: &name,
        platform: image.platform.as_deref(),
        auth: login.map(|login| login.header.expose().to_owned()),
    };
    match engine.pull(pull).await {
        Ok(()) => {}
        // The machine's fault: neither the image's nor the registry's.
        Err(error @ engine::Error::Refused { .. }) if error.is_full() => return Err(Failed::Engine(error)),
        Err(engine::Error::Refused { message, .. }) => {
            return Err(Failed::Pull(format!(
                "cannot pull the image {:?}: {message}",
                image.name
            )));
        }
        Err(error) => return Err(Failed::Engine(error)),
    }
    match engine.image(&name).await.map_err(Failed::Engine)? {
        Some(info) => {
            used(console, &image.name, &info).await;
            Ok(info)
        }
        None => Err(Failed::Pull(format!(
            "the image {:?} was pulled and is gone already",
            image.name
        ))),
    }
}

async fn used(console: &Console<'_>, name: &str, info: &ImageInfo) {
    let digest = info.repo_digests.first().map(|digest| format!(" with digest {digest}"));
    console
        .line(&format!(
            "Using docker image {} for {name}{} ...",
            info.id,
            digest.unwrap_or_default()
        ))
        .await;
}

/// Whether an image that is here is of the platform that is asked for: `os[/architecture[/variant]]`.
fn fits(info: &ImageInfo, platform: Option<&str>) -> bool {
    let Some(platform) = platform else { return true };
    let mut parts = platform.split('/');
    let os = parts.next().is_none_or(|os| os == info.os);
    os && parts
        .next()
        .is_none_or(|architecture| architecture == info.architecture)
}
