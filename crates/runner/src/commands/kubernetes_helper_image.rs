//! `runner kubernetes-helper-image`

use super::args::KubernetesHelperImageArgs;
use super::{Context, Error, Result};
use crate::executor::{helper_image, kubernetes, shell};
use crate::process::Binary;

/// Writes the helper image of this program's version as an archive, and says its name.
pub(super) async fn kubernetes_helper_image(args: KubernetesHelperImageArgs, context: &mut Context) -> Result<()> {
    let name = args.name.unwrap_or_else(kubernetes::own_helper_image);
    let binary = context.binary.clone().unwrap_or_else(Binary::current);
    let path = context.environment.get("PATH").map(str::to_owned);
    let (file, tag) = (args.file.clone(), name.clone());
    let write = move || {
        let path = path.as_deref().unwrap_or(shell::Config::DEFAULT_PATH);
        let archive = helper_image::archive(binary.path(), path, &tag, args.user)
            .map_err(|error| Error::system("make the image", std::io::Error::other(error)))?;
        std::fs::write(&file, archive).map_err(|error| Error::file("write", &file, error))
    };
    let written = tokio::task::spawn_blocking(write).await;
    written.map_err(|error| Error::system("make the image", error.into()))??;
    context.say(&name)
}
