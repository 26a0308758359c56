//! `tasuki pipeline`.

use clap::{Args, Subcommand};
use tasuki_model::plan::Language;
use tasuki_proto::rest::{self, CompileRequest, Compiled, NewPipeline, PipelineDetail, Status, VariableInput};
use tasuki_rt::Clock;

use super::folder::language;
use super::follow;
use super::trigger::pair;
use crate::config::Connection;
use crate::exit::{Exit, Outcome};
use crate::print::{self, Form, Style, Table, ago, duration};
use crate::role::block_on;

/// Pipelines: start, follow, cancel and retry them.
#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    Run(Run),
    Inputs(Inputs),
    List(List),
    Show(Show),
    Cancel(Cancel),
    Retry(Retry),
}

/// Start a pipeline.
///
/// With --wait the log of its jobs is shown and the exit code is the outcome.
///
/// Examples:
///   tasuki pipeline run local/app
///   tasuki pipeline run local/app --ref release --var DEPLOY=yes --wait
///   tasuki pipeline run local/app --workflow deploy.yml --input where=live --input dry=false
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Run {
    /// Path or number of the project
    project: String,
    /// Branch or tag [default: the default branch]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// A pipeline variable
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// An input (GitLab, GitHub) or a pipeline parameter (CircleCI); JSON, or plain text
    #[arg(long = "input", visible_alias = "param", value_name = "KEY=VALUE", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// Only this GitHub workflow: its file, the file's name, or its own name
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Only configurations of this language: gitlab, circleci, github
    #[arg(long, value_name = "LANG", value_parser = language)]
    lang: Option<Language>,
    /// Print the Plans as JSON and start nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// What would start it, with --dry-run: push, schedule, merge_request, workflow_dispatch, … [default: api]
    #[arg(long, value_name = "EVENT", requires = "dry_run")]
    event: Option<String>,
    /// A path that would have changed, with --dry-run; without any all would
    #[arg(long, value_name = "PATH", requires = "dry_run")]
    changed: Vec<String>,
    /// Follow it to its end
    #[arg(long)]
    wait: bool,
    /// Print JSON; with --wait one event a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List what may be given with `pipeline run`: the inputs, parameters and described variables of each configuration.
///
/// Examples:
///   tasuki pipeline inputs local/app
///   tasuki pipeline inputs local/app --ref release --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Inputs {
    /// Path or number of the project
    project: String,
    /// Branch or tag [default: the default branch]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List the newest pipelines.
///
/// Examples:
///   tasuki pipeline list
///   tasuki pipeline list local/app --limit 50 --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Path or number of a project [default: all]
    project: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Show a pipeline with its jobs, and why those that wait do.
///
/// Examples:
///   tasuki pipeline show 7
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Show {
    /// Number of the pipeline
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Cancel all jobs of a pipeline that are not finished.
///
/// Examples:
///   tasuki pipeline cancel 7
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Cancel {
    /// Number of the pipeline
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Run the failed and canceled jobs of a pipeline again; what succeeded is kept.
///
/// Examples:
///   tasuki pipeline retry 7
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Retry {
    /// Number of the pipeline
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Pipeline {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Run(command) => block_on(command.run()),
            Self::Inputs(command) => block_on(command.run()),
            Self::List(command) => block_on(command.run()),
            Self::Show(command) => block_on(command.run()),
            Self::Cancel(command) => block_on(command.run()),
            Self::Retry(command) => block_on(command.run()),
        }
    }
}

impl Run {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let variable = |(key, value): &(String, String)| VariableInput {
            key: key.clone(),
            value: value.clone(),
            file: false,
            masked: false,
            raw: false,
        };
        let parsed =
            |text: &String| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text.as_str()));
        let new = NewPipeline {
            git_ref: self.git_ref.clone(),
            sha: None,
            variables: self.variables.iter().map(variable).collect(),
            inputs: self
                .inputs
                .iter()
                .map(|(key, value)| (key.clone(), parsed(value)))
                .collect(),
            workflow: self.workflow.clone(),
            language: self.lang.map(|language| language.as_str().to_owned()),
        };
        if self.dry_run {
            let request = CompileRequest {
                pipeline: new,
                event: self.event,
                changed: Some(self.changed).filter(|paths| !paths.is_empty()),
            };
            let plans = client.compile(&self.project, &request).await?.items;
            print::json(&plans)?;
            let errs = |found: &Compiled| {
                found.plan["diagnostics"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|d| d["severity"] == "error")
            };
            return Ok(if plans.iter().any(errs) {
                Exit::Failed
            } else {
                Exit::Success
            });
        }
        let pipeline = client.run_pipeline(&self.project, &new).await?;
        if self.wait {
            let all: Vec<i64> = std::iter::once(pipeline.id).chain(pipeline.also).collect();
            return follow::pipelines(&client, &all, Form::of(self.json)).await;
        }
        shown(&pipeline, self.json, "started")
    }
}

impl Inputs {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let forms = client.forms(&self.project, self.git_ref.as_deref()).await?.items;
        if self.json {
            print::json(&forms)?;
            return Ok(Exit::Success);
        }
        let mut table = Table::new(&["FILE", "GIVEN BY", "NAME", "TYPE", "DEFAULT", "DESCRIPTION"]);
        for form in forms {
            let inputs = form.inputs.into_iter().map(|field| ("--input", field));
            let variables = form.variables.into_iter().map(|field| ("--var", field));
            for (option, field) in inputs.chain(variables) {
                let kind = match field.options.is_empty() {
                    true => field.kind,
                    false => field.options.join("|"),
                };
                let default = match field.required {
                    true => "(required)".to_owned(),
                    false => field.default.unwrap_or_default(),
                };
                let description = field.description.unwrap_or_default();
                table.row([
                    form.file.clone(),
                    option.to_owned(),
                    field.name,
                    kind,
                    default,
                    description,
                ]);
            }
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let page = self
            .connection
            .client()?
            .pipelines(self.project.as_deref(), self.limit)
            .await?;
        if self.json {
            print::json(&page.items)?;
            return Ok(Exit::Success);
        }
        let (style, now) = (Style::stdout(), Clock::system().now_ms());
        let mut table = Table::new(&["ID", "STATUS", "PROJECT", "REF", "COMMIT", "STARTED", "TOOK", "TITLE"]);
        for p in page.items {
            let took = p
                .duration_ms
                .map(|ms| duration(std::time::Duration::from_millis(ms)))
                .unwrap_or_default();
            let short = p.sha.chars().take(8).collect();
            let title = p.name.unwrap_or(p.title).chars().take(50).collect();
            let status = style.status(p.status);
            table.row([
                p.id.to_string(),
                status,
                p.project,
                p.git_ref,
                short,
                ago(p.created_at, now),
                took,
                title,
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Show {
    async fn run(self) -> Outcome {
        let detail = self.connection.client()?.pipeline(self.id).await?;
        if self.json {
            print::json(&detail)?;
        } else {
            print::raw(&text(&detail, Style::stdout()))?;
        }
        Ok(Exit::Success)
    }
}

impl Cancel {
    async fn run(self) -> Outcome {
        let pipeline = self.connection.client()?.cancel_pipeline(self.id).await?;
        shown(&pipeline, self.json, "canceling")
    }
}

impl Retry {
    async fn run(self) -> Outcome {
        let pipeline = self.connection.client()?.retry_pipeline(self.id).await?;
        shown(&pipeline, self.json, "retrying")
    }
}

fn shown(pipeline: &rest::Pipeline, json: bool, verb: &str) -> Outcome {
    if json {
        print::json(pipeline)?;
    } else {
        let place = Style::stdout().dim(&pipeline.web_url);
        print::line(&format!(
            "{verb} pipeline {} of {} {place}",
            pipeline.id, pipeline.project
        ))?;
    }
    Ok(Exit::Success)
}

/// A pipeline with its jobs, by stage.
fn text(detail: &PipelineDetail, style: Style) -> String {
    let p = &detail.pipeline;
    let short: String = p.sha.chars().take(8).collect();
    let mut out = format!(
        "pipeline {} {} · {} · {} {short} · {}\n",
        p.id,
        style.status(p.status),
        p.project,
        p.git_ref,
        style.bold(&p.title)
    );
    for diagnostic in &detail.diagnostics {
        let d = diagnostic;
        out.push_str(&format!(
            "{} {}:{}:{}: {}\n",
            style.red(&d.severity),
            d.file,
            d.line,
            d.column,
            d.message
        ));
    }
    let mut table = Table::new(&["JOB", "STATUS", "STAGE", "NAME", "TOOK", ""]);
    for job in detail.workflows.iter().flat_map(|workflow| &workflow.jobs) {
        let took = match (job.started_at, job.finished_at) {
            (Some(start), Some(end)) => duration(end.0.since(start.0)),
            _ => String::new(),
        };
        table.row([
            job.id.to_string(),
            style.status(job.status),
            job.stage.clone(),
            job.name.clone(),
            took,
            style.dim(&remark(job)),
        ]);
    }
    out.push_str(&table.text());
    out
}

/// Why a job failed, or why it waits.
fn remark(job: &rest::Job) -> String {
    if let Some(why) = &job.why_pending {
        let remedy = why
            .remedy
            .as_ref()
            .map(|remedy| format!("; {remedy}"))
            .unwrap_or_default();
        return format!("{}{remedy}", why.message);
    }
    match (job.status, &job.failure_reason, job.exit_code) {
        (Status::Failed | Status::Error, Some(reason), Some(code)) => format!("{reason} (exit code {code})"),
        (Status::Failed | Status::Error, Some(reason), None) => reason.clone(),
        _ if job.allow_failure && job.status == Status::Failed => "allowed to fail".to_owned(),
        _ => String::new(),
    }
}
