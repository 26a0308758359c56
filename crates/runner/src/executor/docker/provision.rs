//! What has to be on the engine before the first job: the helper image, and the guest in a volume.

use serde_json::json;

use super::engine::Engine;
use super::executor::Shared;
use super::names;
use crate::executor::helper_image;
use crate::executor::{Error, Result, unique};

/// The guest on an engine.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    /// Made of this machine's files.
    pub(super) image: String,
    /// Mounted read-only at [`helper_image::FOLDER`] in every container.
    pub(super) volume: String,
    /// How it is started.
    pub(super) command: Vec<String>,
    /// Whether the image has git.
    pub(super) has_git: bool,
}

/// Whether both are there; somebody may have cleaned up.
pub(super) async fn is_there(engine: &Engine, guest: &Guest) -> Result<bool> {
    let failed = |error| Error::system("ask the container engine for the helper image", error);
    let (image, volume) = tokio::join!(engine.image(&guest.image), engine.has_volume(&guest.volume));
    Ok(image.map_err(failed)?.is_some() && volume.map_err(failed)?)
}

/// Makes what is missing.
pub(super) async fn provide(engine: &Engine, shared: &Shared) -> Result<Guest> {
    let failed = |error| Error::system("put the helper image on the container engine", error);
    let info = engine.info().await.map_err(failed)?;
    if info.os_type != "linux" || info.architecture != std::env::consts::ARCH {
        return Err(Error::configuration(
            format!(
                "the container engine runs {} containers on {}, and this runner is built for linux on {}",
                info.os_type,
                info.architecture,
                std::env::consts::ARCH
            ),
            "use a runner of the engine's kind",
        ));
    }
    let program = shared.settings.binary.path().to_owned();
    let path = shared.settings.surroundings.path.clone();
    let contents = blocking(move || helper_image::collect(&program, &path)).await?;
    let guest = Guest {
        image: format!("tasuki-helper:{}", contents.digest),
        volume: format!("tasuki-guest-{}", contents.digest),
        command: helper_image::command(helper_image::FOLDER, contents.is_dynamic),
        has_git: contents.has_git,
    };
    if engine.image(&guest.image).await.map_err(failed)?.is_none() {
        let kept = format!("LABEL {}=helper", names::KEPT);
        let changes = [kept.as_str(), "ENV PATH=/usr/bin:/bin"];
        let tar = blocking(move || contents.tar()).await?;
        engine.import(&guest.image, &changes, tar).await.map_err(failed)?;
        tracing::info!(engine = %info.server_version, image = %guest.image, "made the helper image");
    }
    install(engine, shared, &guest).await?;
    Ok(guest)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::system("make the helper image", error))?
}

/// Lets the helper image put its guest into the volume. Done twice, it changes nothing.
async fn install(engine: &Engine, shared: &Shared, guest: &Guest) -> Result<()> {
    let failed = |error| Error::system("put the guest into a volume", error);
    let volume = json!({"Name": guest.volume, "Labels": {(names::KEPT): "guest"}});
    engine.create_volume(&volume).await.map_err(failed)?;
    let name = format!("tasuki-install-{}", unique()?);
    let mut command = guest.command.clone();
    command.extend(["install".to_owned(), "/guest".to_owned()]);
    let body = json!({
        "Image": guest.image,
        "Entrypoint": command,
        "Labels": {
            (names::SANDBOX): name, (names::OWNER): shared.owner.label(), (names::HOST): shared.owner.host(),
        },
        "NetworkDisabled": true,
        "HostConfig": {"Binds": [format!("{}:/guest:nocopy", guest.volume)], "NetworkMode": "none"},
    });
    let id = engine.create_container(&name, None, &body).await.map_err(failed)?;
    let done = async {
        engine.start_container(&id).await?;
        engine.wait_container(&id).await
    };
    let done = done.await;
    let said = engine.logs(&id, 20).await.unwrap_or_default();
    engine.remove_container(&id).await.map_err(failed)?;
    match done.map_err(failed)? {
        0 => Ok(()),
        code => Err(Error::system(
            "put the guest into a volume",
            format!("its container ended with {code}: {}", String::from_utf8_lossy(&said)),
        )),
    }
}
