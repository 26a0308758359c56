//! The example project of `tasuki up --example`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tasuki_proto::client::{ApiClient, ApiError};
use tasuki_proto::rest::NewProject;
use tasuki_server::app::Running;

use crate::print::{self, Style};

const NAME: &str = "example/relay";

/// The files of `examples/relay`.
const FILES: &[(&str, &str)] = &[
    (
        ".gitlab-ci.yml",
        include_str!("../../../../../examples/relay/.gitlab-ci.yml"),
    ),
    ("README.md", include_str!("../../../../../examples/relay/README.md")),
    ("legs/run.sh", include_str!("../../../../../examples/relay/legs/run.sh")),
    (
        "tests/check.sh",
        include_str!("../../../../../examples/relay/tests/check.sh"),
    ),
];

/// Makes the repository unless it is there, and adds it as a project, which starts its first pipeline.
pub(super) async fn add(api: &ApiClient, server: &Running, data: &Path) -> anyhow::Result<()> {
    let folder = data.join("example").join("relay");
    if !folder.join(".git").exists() {
        write(&folder).with_context(|| format!("cannot write the example into {}", folder.display()))?;
        tasuki_server::git::init(server.app().mirrors().git(), &folder, "Run a relay race").await?;
    }
    let new = NewProject {
        location: folder.to_string_lossy().into_owned(),
        path: Some(NAME.to_owned()),
        default_branch: None,
        config_path: None,
        hook_secret: None,
        deploy_key: None,
        build_forks: None,
    };
    match api.create_project(&new).await {
        Ok(_) => {}
        // Added by an earlier start.
        Err(ApiError::Problem(problem)) if problem.status == 409 => {}
        Err(error) => return Err(error).context("the example cannot be added"),
    }
    let style = Style::stderr();
    print::note(&format!(
        "{} {NAME} in {}; commit to it and watch",
        style.bold("example "),
        folder.display()
    ));
    Ok(())
}

fn write(folder: &Path) -> std::io::Result<()> {
    for (name, text) in FILES {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
        std::fs::write(&file, text)?;
        if text.starts_with("#!") {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}
