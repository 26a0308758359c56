//! `tasuki environment`.

use clap::{Args, Subcommand, ValueEnum};
use tasuki_proto::client::ApiClient;
use tasuki_proto::rest::{Deployment, Environment as Shown, EnvironmentState, StopEnvironment};
use tasuki_rt::Clock;

use crate::config::Connection;
use crate::exit::{Exit, Outcome, wrong_usage};
use crate::print::{self, Table, ago};
use crate::role::block_on;

/// Deployments that `show` shows.
const SHOWN: u32 = 10;

/// Environments: the places that jobs deploy to.
#[derive(Debug, Subcommand)]
pub(crate) enum Environment {
    List(List),
    Show(Show),
    Stop(Stop),
    Keep(Keep),
    Delete(Delete),
}

/// List the environments of a project.
///
/// Examples:
///   tasuki environment list acme/app
///   tasuki environment list acme/app --state available --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Project, by path or number
    project: String,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Available,
    Stopping,
    Stopped,
}

/// The environment that is meant.
#[derive(Debug, Args)]
struct Which {
    /// Project, by path or number
    project: String,
    /// Name of the environment
    name: String,
}

/// Show an environment and what was deployed to it last.
///
/// Examples:
///   tasuki environment show acme/app review/topic
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Stop an environment: the job that its deployment names for that (`on_stop`) is started.
///
/// Examples:
///   tasuki environment stop acme/app review/topic
///   tasuki environment stop acme/app review/topic --force
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
    /// At once, without the job
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Let an environment not be stopped by the clock.
///
/// Examples:
///   tasuki environment keep acme/app review/topic
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Keep {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Delete a stopped environment with the record of its deployments.
///
/// Examples:
///   tasuki environment delete acme/app review/topic
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connection: Connection,
}

impl Environment {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::List(command) => block_on(command.run()),
            Self::Show(command) => block_on(command.run()),
            Self::Stop(command) => block_on(command.run()),
            Self::Keep(command) => block_on(command.run()),
            Self::Delete(command) => block_on(command.run()),
        }
    }
}

impl From<State> for EnvironmentState {
    fn from(state: State) -> Self {
        match state {
            State::Available => Self::Available,
            State::Stopping => Self::Stopping,
            State::Stopped => Self::Stopped,
        }
    }
}

impl Which {
    async fn find(&self, client: &ApiClient) -> anyhow::Result<Shown> {
        let found = client.environment(&self.project, &self.name).await?;
        found.ok_or_else(|| {
            let text = format!(
                "{} has no environment {:?}; `tasuki environment list {}` shows those that it has",
                self.project, self.name, self.project
            );
            wrong_usage(text)
        })
    }
}

impl List {
    async fn run(self) -> Outcome {
        let state = self.state.map(Into::into);
        let all = self.connection.client()?.environments(&self.project, state).await?;
        if self.json {
            print::json(&all)?;
            return Ok(Exit::Success);
        }
        let now = Clock::system().now_ms();
        let mut table = Table::new(&["ENVIRONMENT", "STATE", "TIER", "DEPLOYED", "REF", "JOB", "URL"]);
        for environment in all {
            let last = environment.last_deployment;
            let at = last.as_ref().and_then(|last| last.finished_at);
            table.row([
                environment.name,
                environment.state.as_str().to_owned(),
                environment.tier,
                at.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
                last.as_ref().map(|last| last.git_ref.clone()).unwrap_or_default(),
                last.map(|last| last.job_id.to_string()).unwrap_or_default(),
                environment.external_url.unwrap_or_default(),
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Show {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let environment = self.which.find(&client).await?;
        if self.json {
            print::json(&environment)?;
            return Ok(Exit::Success);
        }
        let newest = client.deployments(environment.id, SHOWN).await?;
        print::line(&format!(
            "{}  {}, {}",
            environment.name,
            environment.state.as_str(),
            environment.tier
        ))?;
        if let Some(url) = &environment.external_url {
            print::line(url)?;
        }
        if let Some(at) = environment.auto_stop_at {
            print::line(&format!("stops at {at}"))?;
        }
        print::raw(&deployments(&newest.items).text())?;
        Ok(Exit::Success)
    }
}

fn deployments(newest: &[Deployment]) -> Table {
    let now = Clock::system().now_ms();
    let mut table = Table::new(&["DEPLOYMENT", "STATUS", "REF", "COMMIT", "JOB", "MADE"]);
    for deployment in newest {
        table.row([
            deployment.id.to_string(),
            deployment.status.as_str().to_owned(),
            deployment.git_ref.clone(),
            deployment.sha.chars().take(8).collect(),
            format!("{} ({})", deployment.job, deployment.job_id),
            ago(deployment.created_at, now),
        ]);
    }
    table
}

impl Stop {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let id = self.which.find(&client).await?.id;
        let how = StopEnvironment { force: self.force };
        said(&client.stop_environment(id, &how).await?, self.json)
    }
}

impl Keep {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let id = self.which.find(&client).await?.id;
        said(&client.keep_environment(id).await?, self.json)
    }
}

fn said(environment: &Shown, json: bool) -> Outcome {
    if json {
        print::json(environment)?;
    } else {
        print::line(&format!("{} is {}", environment.name, environment.state.as_str()))?;
    }
    Ok(Exit::Success)
}

impl Delete {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let environment = self.which.find(&client).await?;
        client.delete_environment(environment.id).await?;
        print::line(&format!("deleted environment {}", environment.name))?;
        Ok(Exit::Success)
    }
}
