//! `tasuki project`.

use std::path::Path;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tasuki_proto::rest::NewProject;

use crate::config::Connection;
use crate::exit::{Exit, Outcome};
use crate::print::{self, Style, Table};
use crate::role::block_on;

/// Projects: repositories that the server builds.
#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Add a folder or a repository by URL.
///
/// New commits of a folder start pipelines by themselves; a repository by URL needs a webhook at its forge, whose
/// address and secret are printed. The present branch is built at once.
///
/// Examples:
///   tasuki project add .
///   tasuki project add https://example.org/group/app.git --name group/app
///   tasuki project add git@example.org:group/app.git --deploy-key ~/.ssh/app_ed25519
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Add {
    /// Folder on the server's machine, or clone address (https, ssh)
    location: String,
    /// Its name here [default: from the location]
    #[arg(long, value_name = "NS/NAME")]
    name: Option<String>,
    /// Branch that others branch off [default: what the repository says]
    #[arg(long, value_name = "BRANCH")]
    default_branch: Option<String>,
    /// File that is compiled [default: .gitlab-ci.yml]
    #[arg(long, value_name = "PATH")]
    config_path: Option<String>,
    /// File with the private key for ssh addresses
    #[arg(long, value_name = "FILE")]
    deploy_key: Option<std::path::PathBuf>,
    /// File with the secret of the webhooks [default: one is made and printed]
    #[arg(long, value_name = "FILE")]
    hook_secret_file: Option<std::path::PathBuf>,
    /// Build merge requests from forks too, without any secret of the project
    #[arg(long)]
    build_forks: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List the projects.
///
/// Examples:
///   tasuki project list
///   tasuki project list --json | jq -r '.[].path'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Remove a project with its pipelines, logs and artifacts. The repository itself is not touched.
///
/// Examples:
///   tasuki project remove local/app
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Remove {
    /// Path or number of the project
    project: String,
    #[command(flatten)]
    connection: Connection,
}

impl Project {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Add(command) => block_on(command.run()),
            Self::List(command) => block_on(command.run()),
            Self::Remove(command) => block_on(command.run()),
        }
    }
}

impl Add {
    async fn run(self) -> Outcome {
        let new = NewProject {
            location: location(&self.location)?,
            path: self.name.clone(),
            default_branch: self.default_branch.clone(),
            config_path: self.config_path.clone(),
            hook_secret: self.hook_secret_file.as_deref().map(read_secret).transpose()?,
            deploy_key: self.deploy_key.as_deref().map(read_secret).transpose()?,
            build_forks: self.build_forks.then_some(true),
        };
        let project = self.connection.client()?.create_project(&new).await?;
        if self.json {
            print::json(&project)?;
            return Ok(Exit::Success);
        }
        print::line(&format!(
            "added {} {}",
            project.path,
            Style::stdout().dim(&project.web_url)
        ))?;
        if let Some(hook) = &project.hook_url {
            print::line(&format!("webhook: {hook} (push and tag events, JSON)"))?;
        }
        if let Some(secret) = &project.hook_secret {
            print::line(&format!("secret:  {secret} (shown only now)"))?;
        }
        Ok(Exit::Success)
    }
}

/// A folder becomes absolute, as the server stands elsewhere.
fn location(given: &str) -> anyhow::Result<String> {
    let path = Path::new(given);
    if !path.exists() {
        return Ok(given.to_owned());
    }
    let full = path.canonicalize().with_context(|| format!("cannot open {given}"))?;
    Ok(full.to_string_lossy().into_owned())
}

fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end().to_owned())
}

impl List {
    async fn run(self) -> Outcome {
        let projects = self.connection.client()?.projects().await?;
        if self.json {
            print::json(&projects)?;
            return Ok(Exit::Success);
        }
        let mut table = Table::new(&["ID", "PROJECT", "BRANCH", "LOCATION"]);
        for project in projects {
            table.row([
                project.id.to_string(),
                project.path,
                project.default_branch,
                project.location,
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Remove {
    async fn run(self) -> Outcome {
        self.connection.client()?.delete_project(&self.project).await?;
        print::line(&format!("removed {}", self.project))?;
        Ok(Exit::Success)
    }
}
