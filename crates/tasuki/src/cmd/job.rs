//! `tasuki job`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use tasuki_model::plan::Variable;
use tasuki_proto::client::ApiClient;
use tasuki_proto::rest::{self, Artifact, Play, VariableInput};
use tokio::io::AsyncWriteExt as _;

use super::follow;
use super::shell::Shell;
use super::trigger::pair;
use crate::config::Connection;
use crate::exit::{Exit, Outcome, wrong_usage};
use crate::print::{self, Style, Table};
use crate::role::block_on;

/// Jobs: logs, artifacts, cancel, retry, play, a terminal inside.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    List(List),
    Log(Log),
    Retry(Retry),
    Cancel(Cancel),
    Play(PlayJob),
    Artifacts(Artifacts),
    Shell(Shell),
}

/// List the jobs of a pipeline.
///
/// Examples:
///   tasuki job list 7
///   tasuki job list 7 --json | jq '.[] | select(.status == "failed")'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Number of the pipeline
    pipeline: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Print the log of a job's newest attempt.
///
/// Examples:
///   tasuki job log 12
///   tasuki job log 12 -f
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Log {
    /// Number of the job
    id: i64,
    /// Wait for more until the job ends; the exit code is its outcome
    #[arg(short, long)]
    follow: bool,
    /// Print it as stored, with timestamps and section marks
    #[arg(long)]
    raw: bool,
    /// Attempt, from 1 [default: the newest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

/// Run a job again.
///
/// Examples:
///   tasuki job retry 12
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Retry {
    /// Number of the job
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Cancel a job.
///
/// Examples:
///   tasuki job cancel 12
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Cancel {
    /// Number of the job
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Start a manual job, or a delayed one before its time.
///
/// Examples:
///   tasuki job play 12 --var TARGET=production
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PlayJob {
    /// Number of the job
    id: i64,
    /// A variable of this job only
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Download the artifacts of a job.
///
/// Examples:
///   tasuki job artifacts 12
///   tasuki job artifacts 12 -o results/
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Artifacts {
    /// Number of the job
    id: i64,
    /// Folder for the files [default: the present one]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// List them as JSON, download nothing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Job {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::List(command) => block_on(command.run()),
            Self::Log(command) => block_on(command.run()),
            Self::Retry(command) => block_on(command.run()),
            Self::Cancel(command) => block_on(command.run()),
            Self::Play(command) => block_on(command.run()),
            Self::Artifacts(command) => block_on(command.run()),
            Self::Shell(command) => block_on(command.run()),
        }
    }
}

impl List {
    async fn run(self) -> Outcome {
        let detail = self.connection.client()?.pipeline(self.pipeline).await?;
        let jobs: Vec<_> = detail
            .workflows
            .into_iter()
            .flat_map(|workflow| workflow.jobs)
            .collect();
        if self.json {
            print::json(&jobs)?;
            return Ok(Exit::Success);
        }
        let style = Style::stdout();
        let mut table = Table::new(&["JOB", "STATUS", "STAGE", "NAME", "TOOK"]);
        for job in jobs {
            let took = job
                .started_at
                .zip(job.finished_at)
                .map(|(start, end)| print::duration(end.0.since(start.0)));
            let status = style.status(job.status);
            table.row([
                job.id.to_string(),
                status,
                job.stage,
                job.name,
                took.unwrap_or_default(),
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Log {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let job = client.job(self.id).await?;
        let wanted = |task: &&rest::Task| self.attempt.is_none_or(|attempt| task.attempt == attempt);
        let task = job.tasks.iter().rev().find(wanted).map(|task| task.id);
        match (task, self.follow) {
            (_, true) => follow::job(&client, self.id, task, self.raw).await,
            (Some(task), false) => {
                let log = client.log(task, 0).await?;
                let text = if self.raw {
                    String::from_utf8_lossy(&log).into_owned()
                } else {
                    print::readable(&log, Style::stdout())
                };
                print::raw(&text)?;
                Ok(Exit::Success)
            }
            (None, false) => Err(wrong_usage(format!(
                "job {} has not been started: there is no log",
                self.id
            ))),
        }
    }
}

impl Retry {
    async fn run(self) -> Outcome {
        shown(
            &self.connection.client()?.retry_job(self.id).await?,
            self.json,
            "retrying",
        )
    }
}

impl Cancel {
    async fn run(self) -> Outcome {
        shown(
            &self.connection.client()?.cancel_job(self.id).await?,
            self.json,
            "canceling",
        )
    }
}

impl PlayJob {
    async fn run(self) -> Outcome {
        let plain = self.variables.iter().map(|(key, value)| Variable::plain(key, value));
        let variables = plain
            .map(|v| VariableInput {
                key: v.key,
                value: v.value,
                file: v.file,
                masked: v.masked,
                raw: v.raw,
            })
            .collect();
        shown(
            &self.connection.client()?.play_job(self.id, &Play { variables }).await?,
            self.json,
            "started",
        )
    }
}

fn shown(job: &rest::Job, json: bool, verb: &str) -> Outcome {
    if json {
        print::json(job)?;
    } else {
        print::line(&format!(
            "{verb} job {} {} {}",
            job.id,
            job.name,
            Style::stdout().dim(&job.web_url)
        ))?;
    }
    Ok(Exit::Success)
}

impl Artifacts {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let job = client.job(self.id).await?;
        // Of every parallel part the newest attempt that left something.
        let mut all: Vec<Artifact> = Vec::new();
        for task in job.tasks.iter().rev() {
            let newer = |index| {
                job.tasks
                    .iter()
                    .any(|t| t.parallel_index == index && t.attempt > task.attempt && !t.artifacts.is_empty())
            };
            if !newer(task.parallel_index) {
                all.extend(task.artifacts.iter().cloned());
            }
        }
        if self.json {
            print::json(&all)?;
            return Ok(Exit::Success);
        }
        if all.is_empty() {
            return Err(wrong_usage(format!("job {} has no artifacts", self.id)));
        }
        let folder = self.output.unwrap_or_default();
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        for artifact in &all {
            let file = folder.join(file_name(artifact));
            download(&client, artifact, &file)
                .await
                .with_context(|| format!("cannot save {}", file.display()))?;
            print::line(&format!("{} ({} bytes)", file.display(), artifact.size))?;
        }
        Ok(Exit::Success)
    }
}

/// The server's name for the file, without any folder in it.
fn file_name(artifact: &Artifact) -> String {
    let last = artifact.filename.rsplit(['/', '\\']).next().unwrap_or_default();
    if last.is_empty() || last == "." || last == ".." {
        format!("{}-{}", artifact.kind, artifact.id)
    } else {
        last.to_owned()
    }
}

async fn download(client: &ApiClient, artifact: &Artifact, file: &std::path::Path) -> anyhow::Result<()> {
    let part = file.with_extension("part");
    let mut stream = client.download(&format!("artifacts/{}/download", artifact.id)).await?;
    let mut out = tokio::fs::File::create(&part).await?;
    while let Some(chunk) = stream.next().await {
        out.write_all(&chunk?).await?;
    }
    out.flush().await?;
    tokio::fs::rename(&part, file).await?;
    Ok(())
}
